/* Runs a fuzz target on every file of the folders and files given: what the fuzzer found stays tested. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (!stream) return 0;
    uint8_t *data = NULL;
    size_t size = 0, got;
    do {
        uint8_t *more = realloc(data, size + 65536);
        if (!more) abort();
        data = more;
        got = fread(data + size, 1, 65536, stream);
        size += got;
    } while (got);
    fclose(stream);
    uint8_t *exact = malloc(size ? size : 1); /* so that sanitizers see every byte too far */
    if (!exact) abort();
    memcpy(exact, data, size);
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (!folder) {
            count += replay(argv[i]);
            continue;
        }
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.') count += replay(path);
        }
        closedir(folder);
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
