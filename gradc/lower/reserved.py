"""Words that a name in the generated C must not be.

Enters: the op table. Leaves: `RESERVED`, for names within a function; `MEMBERS`, of a struct;
`ARGUMENTS`, of entry points; `GLOBAL`, of functions; `HEADER_NAMES`, of programs. Always holds: a
name outside of it is neither a keyword of C or C++, nor a type, macro or function that the
generated text or the headers it includes rely on.
"""

from __future__ import annotations

import re

from ..ops.table import OPS

KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
    co_return co_yield decltype default delete do double dynamic_cast else enum explicit export
    extern false final float for friend goto if import inline int long module mutable namespace new
    noexcept not not_eq nullptr operator or or_eq override private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename typeof union
    unsigned using virtual void volatile wchar_t while xor xor_eq
"""
HEADERS = """
    NULL NAN INFINITY HUGE_VAL HUGE_VALF HUGE_VALL FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL
    INT8_MIN INT16_MIN INT32_MIN INT64_MIN INT8_MAX INT16_MAX INT32_MAX INT64_MAX INT64_C UINT64_C
    size_t ptrdiff_t max_align_t offsetof int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t
    uint64_t float_t double_t assert errno memcpy memmove memset std main linux unix i386
"""
OWN = "acc tile a b v k r c state arena"
"""Names that the printer itself gives to what it declares."""


def _functions() -> set[str]:
    """What the C expressions of the ops call, for float and for double."""
    found: set[str] = set()
    for row in OPS.values():
        for text in (row.c, row.c_int, row.c_uint):
            for name, suffix in re.findall(r"([A-Za-z_]\w*)(\{f\})?\(", text or ""):
                found |= {name, f"{name}f"} if suffix else {name}
    return found


MATH = """
    acos asin atan atan2 cos sin tan acosh asinh atanh cosh sinh tanh exp exp2 expm1 frexp ilogb
    ldexp log log10 log1p log2 logb modf scalbn scalbln cbrt fabs hypot pow sqrt erf erfc lgamma
    tgamma ceil floor nearbyint rint lrint llrint round lround llround trunc fmod remainder remquo
    copysign nan nextafter nexttoward fdim fmax fmin fma
"""
LIBRARY = """
    abort abs atexit atof atoi atol atoll bsearch calloc div exit free getenv labs ldiv llabs lldiv
    malloc qsort rand realloc srand strtod strtof strtol strtoll strtoul strtoull system
    clearerr fclose feof ferror fflush fgetc fgets fopen fprintf fputc fputs fread freopen fscanf
    fseek ftell fwrite getc getchar gets perror printf putc putchar puts remove rename rewind scanf
    setbuf setvbuf snprintf sprintf sscanf tmpfile tmpnam ungetc vfprintf vprintf vsnprintf vsprintf
    memchr memcmp strcat strchr strcmp strcoll strcpy strcspn strerror strlen strncat strncmp
    strncpy strpbrk strrchr strspn strstr strtok strxfrm isalnum isalpha isblank iscntrl isdigit
    isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper
    asctime clock ctime difftime gmtime localtime mktime strftime time signal raise
"""
FILES = """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
    wchar wctype simd random
"""
"""Headers of the C library and, in short, of gradc's runtime: a program's own must hide none."""
ACCESS = frozenset("F R W X".split())
"""Of these programs the status `<NAME>_OK` would be a macro of <unistd.h>."""
MANY = "state params arena samples order count done row status i k"
"""Names that an entry point itself uses beside its arguments."""


RESERVED = frozenset((KEYWORDS + HEADERS + OWN).split()) | _functions()
MEMBERS = frozenset((KEYWORDS + HEADERS).split())
ARGUMENTS = (RESERVED - set(OWN.split())) | set(MANY.split())
HEADER_NAMES = frozenset(FILES.split())
GLOBAL = RESERVED | set(LIBRARY.split()) | {f + end for f in MATH.split() for end in ("", "f", "l")}
