/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Displays with an id: what is shown in a place and then changed. A place changes at most every PLACE_INTERVAL seconds;
   of what comes faster the last is kept and shown in time. */
#ifndef TESSERA_PLACES_H
#define TESSERA_PLACES_H

#include <pthread.h>
#include <stdbool.h>

#include "wire.h"

#define PLACE_INTERVAL 0.1

/* Called with the lock held; takes [content]. */
typedef void PlaceShow(void *user, Request *parent, bool update, json_t *content);

typedef struct Place {
    int id;
    double shown;             /* when it last changed */
    Request *parent;          /* retained: whose update waits */
    json_t *waiting;          /* or NULL */
} Place;

typedef struct Places {
    PlaceShow *show;
    void *user;
    int wake;                 /* eventfd: there is a deadline now */
    pthread_mutex_t lock;     /* of the following */
    Place *at;
    int count, room;
} Places;

void places_open(Places *places, PlaceShow *show, void *user, int wake);
void places_close(Places *places);
/* Shows what is new in place [id] > 0 at once, an update in time. Takes [content]. */
void places_put(Places *places, int id, bool update, Request *parent, json_t *content);
void places_finish(Places *places);                      /* of a cell: nothing waits any longer */
double places_deadline(Places *places);
void places_tick(Places *places, double now);

#endif
