/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between libtensor and the module `media`, which alone links jansson, stb and libzip: plain C data on both sides,
   so that the module needs no symbol of ours. Its functions fill [why] with one line when they return false. */
#ifndef TESSERA_MEDIA_H
#define TESSERA_MEDIA_H

#include "tensor.h"

#define MEDIA_WHY 200

typedef struct MediaEntry {   /* one tensor as a safetensors header describes it; strings belong to the header */
    const char *name;
    const char *dtype;
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    uint64_t begin, end;      /* begin <= end; bytes behind the header */
} MediaEntry;

typedef struct MediaHeader {
    int count;
    MediaEntry *entry;        /* in the order of the text */
    int n_metadata;           /* pairs */
    const char **metadata;    /* key, value, key, value … */
    void *owner;
} MediaHeader;

typedef void MediaWrite(void *to, void *data, int size);

/* A zip archive. Sizes are what its directory claims; a sink that returns false ends the unpacking. */
typedef struct MediaMember { const char *name; uint64_t size; } MediaMember;
typedef struct MediaArchive {
    int count;
    MediaMember *member;
    void *owner;
} MediaArchive;
typedef bool MediaSink(void *to, const void *data, size_t bytes);
/* A member to be written: [read] gives any part of its [size] bytes. */
typedef struct MediaPacked {
    const char *name;
    uint64_t size;
    void (*read)(void *from, uint64_t offset, void *to, size_t bytes);
    void *from;
} MediaPacked;

typedef struct MediaModule {
    /* Parses and checks the JSON of a safetensors header. header_free on success only. */
    bool (*header_read)(const char *text, size_t length, MediaHeader *header, char why[MEDIA_WHY]);
    void (*header_free)(MediaHeader *header);
    /* A PNG or JPEG in memory: its size first, then its pixels into planes [channels, height, width]. */
    bool (*image_size)(const unsigned char *bytes, int length, int *width, int *height, int *channels,
                       char why[MEDIA_WHY]);
    bool (*image_read)(const unsigned char *bytes, int length, int width, int height, int channels,
                       unsigned char *planes, char why[MEDIA_WHY]);
    /* PNG of pixels [height, width, channels]; calls [write] with its bytes. */
    bool (*image_write)(MediaWrite *write, void *to, int width, int height, int channels,
                        const unsigned char *pixels, char why[MEDIA_WHY]);
    /* archive_close on success of archive_open only. archive_write replaces the file at once or not at all. */
    bool (*archive_open)(const char *path, MediaArchive *archive, char why[MEDIA_WHY]);
    bool (*archive_unpack)(const MediaArchive *archive, int member, MediaSink *sink, void *to, char why[MEDIA_WHY]);
    void (*archive_close)(MediaArchive *archive);
    bool (*archive_write)(const char *path, int count, const MediaPacked *packed, char why[MEDIA_WHY]);
} MediaModule;

extern const MediaModule tessera_module_media;

#endif
