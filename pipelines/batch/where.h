/* Constraints of a sweep: "weather != rain or time != night", "traffic * 2 <= $Speed + 10", "not (time == night)".
 *
 *   or-list    := and-list { "or" and-list }         comparison := sum [ ("=="|"="|"!="|"<"|"<="|">"|">=") sum ]
 *   and-list   := negation { "and" negation }        sum := product { ("+"|"-") product }
 *   negation   := ["not"] comparison                 product := value { ("*"|"/") value }
 *   value      := number | 'text' | "text" | name | "-" value | "(" or-list ")"
 *
 * A name is an option of the sweep (ego-speed) or a scenario parameter ($Speed); a minus sign needs spaces around it. A
 * name that is no option is a text, but only where it is compared with an option. Numbers compare as numbers,
 * everything else as text. */
#ifndef KN_BATCH_WHERE_H
#define KN_BATCH_WHERE_H

#include "base/base.h"

/* The value of an option: NULL when the sweep has no such option, "" when it has no value here. */
typedef const char *(*kn_where_lookup)(void *user, const char *name);

/* Whether the constraint holds; false with KN_ERROR_INPUT and a message without a place when it cannot be read. */
bool kn_where_holds(const char *text, kn_where_lookup lookup, void *user, bool *holds, kn_error *error);

#endif
