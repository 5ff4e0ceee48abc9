/* Shell commands of tests, in the temporary folder of tests/pipeline/folder.h. */
#ifndef KN_TESTS_SHELL_H
#define KN_TESTS_SHELL_H

#include "tests/pipeline/folder.h"

#include <stdarg.h>
#include <sys/wait.h>

/* Runs a shell command in which every @ is the temporary folder; its exit code, and the beginning of what it said. */
static int shell(char *said, size_t size, const char *format, ...) {
    char raw[3000], command[6000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    size_t length = 0;
    for (const char *p = raw; *p; p++)
        length += (size_t)snprintf(command + length, sizeof command - length, *p == '@' ? "%s" : "%.1s",
                                   *p == '@' ? folder : p);
    FILE *pipe = popen(command, "r");
    size_t got = fread(said, 1, size - 1, pipe);
    said[got] = 0;
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s", command);
    return WEXITSTATUS(status);
}

#endif
