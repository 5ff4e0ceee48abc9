/* Command-line options: tables of what a verb takes, and their values. The only readers of argv are in cli/. */
#ifndef KN_CLI_OPTIONS_H
#define KN_CLI_OPTIONS_H

#include "base/base.h"
#include "kinora/drive.h"

typedef enum kn_option_kind {
    KN_OPTION_FLAG,   /* bool *: set to true */
    KN_OPTION_TEXT,   /* const char **; high 1: may be empty */
    KN_OPTION_INT,    /* int *, low..high */
    KN_OPTION_COUNT,  /* size_t *, low..high */
    KN_OPTION_SEED,   /* uint64_t *; high 1: -1 means a random one */
    KN_OPTION_NUMBER, /* double *, low..high */
    KN_OPTION_RATE,   /* kn_rational * */
    KN_OPTION_SIZE,   /* int [2] from "WxH", each low..high */
    KN_OPTION_CHOICE, /* int *: index into `choices`, separated by | */
    KN_OPTION_SET     /* unsigned *: bits of comma-separated `choices` */
} kn_option_kind;

typedef struct kn_option {
    const char *name; /* "--frames" */
    kn_option_kind kind;
    void *target;
    double low, high;    /* bounds of numbers, both included */
    const char *choices; /* "clear|overcast|rain|fog" */
    const char *value;   /* name of the value in the help, NULL for flags */
    const char *help;
    char letter; /* 'o' for -o; 0: none */
} kn_option;

/* Reads argv[0..argc): options in any order as "--name value" or "--name=value"; what is no option goes to
 * positionals[0..positional_capacity). "--" ends the options. An unknown option, a bad or missing value or one
 * positional too many is KN_ERROR_INPUT with a message that says what was expected. */
bool kn_options_parse(const kn_option *options, size_t count, int argc, char **argv, const char **positionals,
                      int positional_capacity, int *positional_count, kn_error *error);

/* `command` and the arguments as one line that a shell takes apart into the same arguments again; new string. */
char *kn_command_line(const char *command, int argc, char **argv, kn_error *error);

/* Prints the table for the help. */
void kn_options_print(const kn_option *options, size_t count, FILE *stream);

#endif
