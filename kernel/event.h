/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waking a thread that polls, and the clock that all deadlines are of. */
#ifndef TESSERA_EVENT_H
#define TESSERA_EVENT_H

double seconds_now(void);                                /* of a clock that only runs forward */
int event_new(void);                                     /* an eventfd, or -1 */
void event_signal(int event);                            /* from signal handlers too */
void event_forget(int event);

#endif
