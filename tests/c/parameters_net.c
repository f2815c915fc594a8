/* parameters_net: the parameters of the exported net.c as constants and out of a file.
 *
 *     parameters_net net_parameters.bin inputs.raw
 *
 * Leaves on stdout, as bytes, what the constants predict for the inputs, then what the parameters of
 * the file predict, then these parameters. Files that are not right must be refused, with nothing
 * written. Exits with 1 if a check fails.
 */
#include "net.h"
#include "net_parameters.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 16, FEATURES = 12, CLASSES = 5 };

static unsigned char bytes[NET_FILE_BYTES + 2];
static float x[ROWS * FEATURES], logits[ROWS * CLASSES];
static net_params params, before;
static net_arena arena;

static size_t read_file(const char *path, void *to, size_t size)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    const size_t count = fread(to, 1, size, file);
    fclose(file);
    return count;
}

static int refused(size_t size)
{
    return net_load(&params, bytes + 1, size) == NET_WRONG_FILE
        && memcmp(&params, &before, sizeof params) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 || read_file(argv[1], bytes + 1, NET_FILE_BYTES + 1) != NET_FILE_BYTES
        || read_file(argv[2], x, sizeof x) != sizeof x) {
        fprintf(stderr, "the files cannot be read\n");
        return 1;
    }
    memset(&params, 0x5A, sizeof params);
    memcpy(&before, &params, sizeof params);
    for (size_t i = 1; i <= NET_FILE_BYTES; ++i) { /* identity, checksum or data */
        bytes[i] = (unsigned char)(bytes[i] ^ (1u << i % 8));
        if (!refused(NET_FILE_BYTES)) {
            fprintf(stderr, "byte %d may change\n", (int)i - 1);
            return 1;
        }
        bytes[i] = (unsigned char)(bytes[i] ^ (1u << i % 8));
    }
    if (!refused(0) || !refused(NET_FILE_BYTES - 1) || !refused(NET_FILE_BYTES + 1)) {
        fprintf(stderr, "a file of the wrong length is taken\n");
        return 1;
    }
    if (net_predict(&net_parameters, logits, x, &arena) != NET_OK) {
        return 1;
    }
    fwrite(logits, 1, sizeof logits, stdout);
    memset(logits, 0, sizeof logits);
    if (net_load(&params, bytes + 1, NET_FILE_BYTES) != NET_OK
        || net_predict(&params, logits, x, &arena) != NET_OK) {
        return 1;
    }
    fwrite(logits, 1, sizeof logits, stdout);
    fwrite(&params, 1, sizeof params, stdout);
    return 0;
}
