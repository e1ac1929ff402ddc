/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names that people bring along: every function of NumPy and PyTorch in names.txt exists here or has a hint, and what the
   hints say to write exists. SRCDIR names the source folder. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lang/suggest.h"
#include "../tap.h"

bool library_name(const char *name, char *full, size_t size);    /* lang/machine.h */

static bool known(const char *name)
{
    static const char *const members[] = {"T", "dtype", "ndim", "shape", "size"};
    char full[96], plain[96] = "";
    size_t length = strlen(name) < sizeof plain ? strlen(name) : sizeof plain - 1;
    memcpy(plain, name, length);
    if (length > 1 && plain[length - 1] == '_') plain[length - 1] = '\0';
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(plain, members[i]) == 0) return true;
    return library_name(plain, full, sizeof full) || suggest_name(plain);
}

static void test_list(FILE *list)
{
    char word[256], section[256] = "", missing[1000] = "";
    int count = 0, lost = 0;
    for (bool more = true; more;) {
        more = fscanf(list, "%255s", word) == 1;
        if (more && *word == '#') {
            for (int c = fgetc(list); c != '\n' && c != EOF;) c = fgetc(list);
            continue;
        }
        if (!more || *word == '[') {
            if (count > 0)
                tap_ok(lost == 0, "%d names of %s exist or have a hint%s%s", count, section, lost ? ", not so: " : "", missing);
            snprintf(section, sizeof section, "%s", more ? word : "");
            count = lost = 0;
            missing[0] = '\0';
            continue;
        }
        count++;
        if (known(word)) continue;
        lost++;
        if (strlen(missing) + strlen(word) + 2 < sizeof missing) strcat(strcat(missing, word), " ");
    }
}

static bool is_part(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Names before a bracket in a hint: functions, but for methods, declarations and names of one letter. */
static void check_hint(const char *hint, char *missing, size_t size)
{
    for (const char *open = strchr(hint, '('); open; open = strchr(open + 1, '(')) {
        const char *start = open;
        char name[64], full[96];
        while (start > hint && is_part(start[-1])) start--;
        size_t length = (size_t)(open - start);
        bool declared = start - hint >= 3 && (!strncmp(start - 3, "fn ", 3) || !strncmp(start - 3, "el ", 3));
        bool method = start > hint && start[-1] == '.' && !(start - hint >= 3 && !strncmp(start - 3, "nn.", 3));
        if (length < 2 || length >= sizeof name || declared || isupper((unsigned char)*start)) continue;
        memcpy(name, start, length);
        name[length] = '\0';
        if (method && (!strcmp(name, "step") || !strcmp(name, "batches"))) continue;
        if (library_name(name, full, sizeof full)) continue;
        if (strlen(missing) + strlen(name) + 2 < size) strcat(strcat(missing, name), " ");
    }
}

/* nn.Name in a hint */
static void check_layers(const char *hint, char *missing, size_t size)
{
    for (const char *at = strstr(hint, "nn."); at; at = strstr(at + 3, "nn.")) {
        char name[64], full[96];
        size_t length = 0;
        while (is_part(at[3 + length]) && length < sizeof name - 1) length++;
        memcpy(name, at + 3, length);
        name[length] = '\0';
        if (!isupper((unsigned char)*name) || library_name(name, full, sizeof full)) continue;
        if (strlen(missing) + strlen(name) + 2 < size) strcat(strcat(missing, name), " ");
    }
}

static void test_hints(void)
{
    static const char *const hints[] = {
#define WORD(text, hint) hint,
#define NAME(text, hint) hint,
#define PEERS(texts, hint) hint,
#include "../../lang/habits.def"
#include "../../lang/peers.def"
#undef WORD
#undef NAME
#undef PEERS
    };
    char missing[1000] = "";
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        check_hint(hints[i], missing, sizeof missing);
        check_layers(hints[i], missing, sizeof missing);
    }
    tap_ok(!*missing, "what hints say to write exists%s%s", *missing ? ", not so: " : "", missing);
}

static bool hint_is(const char *text, const char *hint)
{
    Error error = {.kind = ERROR_NONE};
    error_set(&error, ERROR_name, "", "not defined");
    suggest_path(text, strlen(text), library_name, &error);
    return tap_ok(strcmp(error.hint, hint) == 0, "%s: %s", text, error.hint);
}

int main(void)
{
    char path[4096];
    const char *folder = getenv("SRCDIR");
    snprintf(path, sizeof path, "%s/tests/session/names.txt", folder ? folder : ".");
    FILE *list = fopen(path, "r");
    if (tap_ok(list != NULL, "%s can be read", path)) {
        test_list(list);
        fclose(list);
    }
    test_hints();
    hint_is("torch.cat([a], 0)", "cat: write concat([a, b], axis)");
    hint_is("np.pi", "here it is pi");
    hint_is("torch.nn.functional.relu(x)", "here it is relu");
    hint_is("torch.nn.Linear(1, 2)", "here it is nn.Linear");
    hint_is("nn.functional.one_hot", "here it is one_hot");
    hint_is("mine.cat(x)", "");
    hint_is("torch.no_such_thing", "");
    hint_is("torch", "");
    return tap_end();
}
