/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ops_test.h"
const Case cases_loss[] = {{0}};
