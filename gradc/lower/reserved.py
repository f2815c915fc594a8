"""Words that a name in the generated C must not be.

Enters: the op table. Leaves: `LOCALS`, for names within a kernel; `RESERVED`, within an entry
point; `MEMBERS`, of a struct; `ARGUMENTS`, of entry points; `GLOBAL`, of functions; `PROGRAMS`, of
programs. Always holds: a name outside of it is neither a keyword of C or C++, nor a type, macro or
function that the generated text or the headers it includes rely on, whatever extensions of them a
compiler turns on; and a kernel's own names hide no function of <math.h> and <string.h>.
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
    NULL size_t ptrdiff_t max_align_t offsetof int8_t int16_t int32_t int64_t uint8_t uint16_t
    uint32_t uint64_t float_t double_t memcpy memmove memset std main
"""
MACROS = """
    NAN INFINITY HUGE HUGE_VAL HUGE_VALF HUGE_VALL FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL
    FP_ILOGB0 FP_ILOGBNAN FP_LLOGB0 FP_LLOGBNAN FP_INT_DOWNWARD FP_INT_TONEAREST FP_INT_UPWARD
    FP_INT_TONEARESTFROMZERO FP_INT_TOWARDZERO MATH_ERREXCEPT MATH_ERRNO MAXFLOAT DOMAIN SING
    OVERFLOW UNDERFLOW PLOSS TLOSS X_TLOSS SNAN SNANF SNANL math_errhandling signgam
    fpclassify iscanonical iseqsig isfinite isgreater isgreaterequal isinf isless islessequal
    islessgreater isnan isnormal issignaling issubnormal isunordered iszero signbit
    assert assert_perror errno EOF BUFSIZ FILENAME_MAX FOPEN_MAX TMP_MAX SEEK_CUR SEEK_DATA SEEK_END
    SEEK_HOLE SEEK_SET RENAME_EXCHANGE RENAME_NOREPLACE RENAME_WHITEOUT P_tmpdir L_ctermid L_cuserid
    L_tmpnam stdin stdout stderr EXIT_FAILURE EXIT_SUCCESS RAND_MAX MB_CUR_MAX
    BIG_ENDIAN BYTE_ORDER LITTLE_ENDIAN PDP_ENDIAN be16toh be32toh be64toh htobe16 htobe32 htobe64
    htole16 htole32 htole64 le16toh le32toh le64toh FD_CLR FD_ISSET FD_SET FD_SETSIZE FD_ZERO
    NFDBITS WCONTINUED WEXITED WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WNOHANG
    WNOWAIT WSTOPPED WSTOPSIG WTERMSIG WUNTRACED alloca strdupa strndupa
    va_arg va_copy va_end va_start I complex imaginary linux unix i386
"""
"""Macros of the headers that generated code and its example include, and of those they bring."""


def _families() -> set[str]:
    """Macros that there are for every width, and for every floating-point type."""
    found = set()
    for width in (8, 16, 32, 64):
        found |= {f"{sign}INT{width}_C" for sign in ("", "U")}
        for kind in ("INT", "INT_LEAST", "INT_FAST"):
            found |= {f"{sign}{kind}{width}_{end}" for sign in ("", "U") for end in LIMITS}
    for kind in "INTMAX UINTMAX INTPTR UINTPTR PTRDIFF SIZE SIG_ATOMIC WCHAR WINT".split():
        found |= {f"{kind}_{end}" for end in (*LIMITS, "C")}
    constants = "E LOG2E LOG10E LN2 LN10 PI PI_2 PI_4 1_PI 2_PI 2_SQRTPI SQRT2 SQRT1_2".split()
    types = ("", "f", "l", "f16", "f32", "f32x", "f64", "f64x", "f128")
    found |= {f"M_{constant}{end}" for constant in constants for end in types}
    return (
        found
        | {f"{word}_{t.upper()}" for word in ("HUGE_VAL",) for t in types if t}
        | {f"SNAN{t.upper()}" for t in types}
    )


LIMITS = ("MIN", "MAX", "WIDTH")
OWN = frozenset("k r c state arena".split())
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
STRING = """
    memchr memcmp strcat strchr strcmp strcoll strcpy strcspn strerror strlen strncat strncmp
    strncpy strpbrk strrchr strspn strstr strtok strxfrm
"""
POSIX = """
    j0 j1 jn y0 y1 yn gamma lgamma_r drem finite significand scalb exp10 pow10 sincos isinff isnanf
    bcmp bcopy bzero index rindex ffs ffsl ffsll stpcpy stpncpy strdup strndup strnlen strsep
    strtok_r strcasecmp strncasecmp strcasestr strsignal memccpy memmem mempcpy memrchr swab
    dprintf fdopen fileno fmemopen getdelim getline getw open_memstream pclose popen putw tempnam
    ctermid renameat vdprintf access alarm brk chdir chown close confstr crypt daemon dup dup2 dup3
    encrypt execv execve execvp fchdir fchown fork fsync ftruncate getcwd getegid geteuid getgid
    getpid getppid getuid isatty kill link lockf lseek mmap mkdir mknod mkstemp munmap nice open
    optarg pause pipe poll pread pwrite putenv random read readlink realpath rmdir sbrk select
    setenv setsid setuid sleep srandom stat symlink sync syscall times truncate umask uname unlink
    unsetenv usleep vfork wait waitpid write socket bind listen accept connect send recv shutdown
    environ stime sigaction sigqueue isascii toascii timegm dlopen dlsym dlclose
"""
"""Functions that every program is linked with, though no header of ours declares them."""
LIBRARY = """
    abort abs atexit atof atoi atol atoll bsearch calloc div exit free getenv labs ldiv llabs lldiv
    malloc qsort rand realloc srand strtod strtof strtol strtoll strtoul strtoull system
    clearerr fclose feof ferror fflush fgetc fgets fopen fprintf fputc fputs fread freopen fscanf
    fseek ftell fwrite getc getchar gets perror printf putc putchar puts remove rename rewind scanf
    setbuf setvbuf snprintf sprintf sscanf tmpfile tmpnam ungetc vfprintf vprintf vsnprintf vsprintf
    isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit
    tolower toupper
    asctime clock ctime difftime gmtime localtime mktime strftime time signal raise
"""
FILES = """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
    wchar wctype unistd base convert file lanes simd random
"""
"""Headers of the C library and, in short, of gradc's runtime: a program's own must hide none."""
ACCESS = frozenset("F R W X".split())
"""Of these programs the status `<NAME>_OK` would be a macro of <unistd.h>."""
MANY = "state params arena samples order count done row status i k"
"""Names that an entry point itself uses beside its arguments."""


WORDS = frozenset((KEYWORDS + HEADERS + MACROS).split()) | _families()
RESERVED = WORDS | OWN | _functions()
MEMBERS = WORDS
ARGUMENTS = (RESERVED - OWN) | set(MANY.split())
FUNCTIONS = {f + end for f in MATH.split() for end in ("", "f", "l")} | set(STRING.split())
LOCALS = RESERVED | FUNCTIONS
GLOBAL = (RESERVED | FUNCTIONS | set((LIBRARY + POSIX).split())) - OWN
PROGRAMS = GLOBAL | set(FILES.split())
"""A program gives its name to a header, a source file and all its functions."""
