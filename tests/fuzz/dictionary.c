/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the words of the language as libFuzzer's -dict wants them. */
#include <stdio.h>

#include "words.h"

int main(void)
{
    for (int i = 0; i < N_WORDS; i++) {
        putchar('"');
        for (const char *at = words[i]; *at; at++) {
            if (*at == '"' || *at == '\\') printf("\\%c", *at);
            else if (*at > 0x20 && *at < 0x7F) putchar(*at);
            else printf("\\x%02X", (unsigned)(unsigned char)*at);
        }
        puts("\"");
    }
    return 0;
}
