/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Special functions against values computed with 40 digits (mpmath), and where they are infinite or undefined. */
#include <math.h>
#include <string.h>

#include "../../tensor/special.h"
#include "../tap.h"

static const struct Known { const char *name; int order; double x, y; } known[] = {
    { "erfinv", 0, 1e-12, 8.86226925452757996e-13 },
    { "erfinv", 0, 0.001, 0.000886227157466552123 },
    { "erfinv", 0, 0.1, 0.088855990494257692 },
    { "erfinv", 0, -0.3, -0.272462714726754345 },
    { "erfinv", 0, 0.5, 0.476936276204469873 },
    { "erfinv", 0, 0.75, 0.813419847597618542 },
    { "erfinv", 0, -0.9, -1.16308715367667416 },
    { "erfinv", 0, 0.99, 1.82138636771844946 },
    { "erfinv", 0, 0.999999, 3.45891073727549878 },
    { "erfinv", 0, 0.999999999999, 5.04203189857269613 },
    { "ndtri", 0, 1e-300, -37.0470962993611992 },
    { "ndtri", 0, 1e-100, -21.2734535609653243 },
    { "ndtri", 0, 1e-20, -9.26234008979840758 },
    { "ndtri", 0, 1e-05, -4.26489079392282461 },
    { "ndtri", 0, 0.01, -2.32634787404084109 },
    { "ndtri", 0, 0.3, -0.524400512708040816 },
    { "ndtri", 0, 0.49999, -0.0000250662827489600085 },
    { "ndtri", 0, 0.5, 0.0 },
    { "ndtri", 0, 0.7, 0.524400512708040656 },
    { "ndtri", 0, 0.975, 1.95996398454005386 },
    { "ndtri", 0, 0.999999, 4.75342430881708777 },
    { "log_ndtr", 0, -10000000000.0, -5.0e+19 },
    { "log_ndtr", 0, -1000.0, -500007.826694812184 },
    { "log_ndtr", 0, -38.0, -726.55721601882013 },
    { "log_ndtr", 0, -10.0, -53.2312851505124706 },
    { "log_ndtr", 0, -5.001, -15.0701853816094401 },
    { "log_ndtr", 0, -4.999, -15.0598123736715763 },
    { "log_ndtr", 0, -1.0, -1.84102164500926351 },
    { "log_ndtr", 0, 0.0, -0.693147180559945309 },
    { "log_ndtr", 0, 0.5, -0.368946415288656393 },
    { "log_ndtr", 0, 1.0, -0.17275377902344989 },
    { "log_ndtr", 0, 2.5, -0.00622902548586000238 },
    { "log_ndtr", 0, 6.0, -9.86587645524375732e-10 },
    { "log_ndtr", 0, 9.0, -1.12858840595384065e-19 },
    { "lgamma", 0, 1e-10, 23.0258509298827352 },
    { "lgamma", 0, 0.25, 1.28802252469807746 },
    { "lgamma", 0, 1.5, -0.120782237635245222 },
    { "lgamma", 0, 3.0, 0.693147180559945309 },
    { "lgamma", 0, 10.5, 13.9406252194037636 },
    { "lgamma", 0, 100.0, 359.134205369575399 },
    { "lgamma", 0, -0.5, 1.2655121234846454 },
    { "lgamma", 0, -2.7, -0.0714070853156456877 },
    { "digamma", 0, 1e-08, -100000000.577215646 },
    { "digamma", 0, 0.1, -10.4237549404110762 },
    { "digamma", 0, 0.5, -1.96351002602142348 },
    { "digamma", 0, 1.0, -0.577215664901532861 },
    { "digamma", 0, 1.4616321449683622, -9.24126552172942752e-17 },
    { "digamma", 0, 2.0, 0.422784335098467139 },
    { "digamma", 0, 7.5, 1.94675748424608679 },
    { "digamma", 0, 30.0, 3.38443813268552488 },
    { "digamma", 0, 100000.0, 11.5129204649618951 },
    { "digamma", 0, 1e+18, 41.4465316738928223 },
    { "digamma", 0, -0.5, 0.0364899739785765206 },
    { "digamma", 0, -1.3, 2.8825405488661673 },
    { "digamma", 0, -10.25, 5.51685841988627331 },
    { "digamma", 0, -1000.5, 6.90875482089867149 },
    { "polygamma", 1, 0.001, 1000001.64253319583 },
    { "polygamma", 1, 0.5, 4.93480220054467931 },
    { "polygamma", 1, 1.0, 1.64493406684822644 },
    { "polygamma", 1, 3.3, 0.353501541841061832 },
    { "polygamma", 1, 17.0, 0.0605875334032393618 },
    { "polygamma", 1, 1000000.0, 1.00000050000016667e-6 },
    { "polygamma", 1, -0.5, 8.93480220054467931 },
    { "polygamma", 1, -3.7, 14.8424218641242799 },
    { "polygamma", 1, -100.3, 15.069493149244011 },
    { "polygamma", 2, 0.01, -2000002.34039867696 },
    { "polygamma", 2, 1.0, -2.40411380631918857 },
    { "polygamma", 2, 4.5, -0.0615568213210276945 },
    { "polygamma", 2, 50.0, -0.000408079989337596931 },
    { "polygamma", 2, -0.25, 122.69736678366236 },
    { "polygamma", 2, -2.6, -22.3777965804092458 },
    { "polygamma", 3, 0.5, 97.4090910340024372 },
    { "polygamma", 3, 2.0, 0.493939402266829149 },
    { "polygamma", 3, 40.0, 0.0000324414001515635003 },
    { "polygamma", 3, -1.4, 283.34389027483367 },
    { "polygamma", 7, 0.5, 1290440.21818559806 },
    { "polygamma", 7, 2.0, 20.5498752376394705 },
    { "polygamma", 7, 40.0, 4.79185812442768336e-9 },
    { "polygamma", 7, -1.4, 7990959.75811342275 },
    { "polygamma", 20, 0.5, -5.10216531273942988e+24 },
    { "polygamma", 20, 2.0, -1160331221321.73726 },
    { "polygamma", 20, 40.0, -1.40701977523558481e-15 },
    { "polygamma", 60, 1.0, -8.32098711274139015e+81 },
    { "polygamma", 60, 3.0, -6.54302111598070705e+52 },
    { "polygamma", 60, 50.0, -2.74843192146051683e-22 },
    { "i0e", 0, 0.0, 1.0 },
    { "i0e", 0, 1e-05, 0.999990000074999583 },
    { "i0e", 0, 0.5, 0.645035270449150068 },
    { "i0e", 0, 3.0, 0.243000354161825398 },
    { "i0e", 0, 10.0, 0.127833337163428607 },
    { "i0e", 0, 29.9, 0.0732692190460019077 },
    { "i0e", 0, 30.1, 0.0730232941310609419 },
    { "i0e", 0, -50.0, 0.0565616266474541925 },
    { "i0e", 0, 700.0, 0.0150812956515313576 },
    { "i0e", 0, 1000000.0, 0.000398942330269245779 },
    { "i1e", 0, 0.0, 0.0 },
    { "i1e", 0, 1e-05, 4.99995000031249895e-6 },
    { "i1e", 0, 0.5, 0.156420803184871697 },
    { "i1e", 0, -3.0, -0.196826713297300854 },
    { "i1e", 0, 10.0, 0.121262681384455519 },
    { "i1e", 0, 29.9, 0.0720333749118687878 },
    { "i1e", 0, 30.1, 0.0717998543510143332 },
    { "i1e", 0, 50.0, 0.0559931238928953996 },
    { "i1e", 0, 700.0, 0.0150705194447168469 },
    { "i1e", 0, 1000000.0, 0.000398942130798030776 },
};

static double value(const char *name, int order, double x)
{
    if (strcmp(name, "erfinv") == 0) return special_erfinv(x);
    if (strcmp(name, "ndtri") == 0) return special_ndtri(x);
    if (strcmp(name, "log_ndtr") == 0) return special_log_ndtr(x);
    if (strcmp(name, "lgamma") == 0) return special_lgamma(x);
    if (strcmp(name, "digamma") == 0) return special_digamma(x);
    if (strcmp(name, "i0e") == 0) return special_i0e(x);
    if (strcmp(name, "i1e") == 0) return special_i1e(x);
    return special_polygamma(order, x);
}

/* Functions that pass through zero where no float is: their error counts against 1 there. */
static bool has_root(const char *name)
{
    return strcmp(name, "digamma") == 0 || strcmp(name, "lgamma") == 0;
}

static void test_known(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct Known *k = &known[i];
        double y = value(k->name, k->order, k->x);
        double scale = has_root(k->name) && fabs(k->y) < 1 ? 1 : fabs(k->y), error = fabs(y - k->y) / scale;
        tap_ok(y == k->y || error <= 1e-13, "%s(%g) of order %d: off by %.1e", k->name, k->x, k->order,
               y == k->y ? 0.0 : error);
    }
}

static void test_edges(void)
{
    const double inf = (double)INFINITY;
    tap_ok(special_erfinv(1) == inf && special_erfinv(-1) == -inf && isnan(special_erfinv(1.5)), "erfinv at its ends");
    tap_ok(special_ndtri(0) == -inf && special_ndtri(1) == inf && isnan(special_ndtri(-0.1)), "ndtri at its ends");
    tap_ok(special_log_ndtr(-inf) == -inf && special_log_ndtr(inf) == 0, "log_ndtr at its ends");
    tap_ok(special_digamma(0.0) == -inf && special_digamma(-0.0) == inf && isnan(special_digamma(-3))
               && special_digamma(inf) == inf, "digamma at its poles");
    tap_ok(special_polygamma(1, -2) == inf && special_polygamma(1, inf) == 0 && isnan(special_polygamma(2, -2)),
           "polygamma at its poles");
    tap_ok(special_i0e(inf) == 0 && special_i1e(-inf) == 0, "scaled Bessel functions at infinity");
    bool all = isnan(special_erfinv((double)NAN)) && isnan(special_ndtri((double)NAN));
    all = all && isnan(special_log_ndtr((double)NAN)) && isnan(special_lgamma((double)NAN));
    all = all && isnan(special_digamma((double)NAN)) && isnan(special_polygamma(3, (double)NAN));
    tap_ok(all && isnan(special_i0e((double)NAN)) && isnan(special_i1e((double)NAN)), "NaN gives NaN");
}

int main(void)
{
    test_known();
    test_edges();
    return tap_end();
}
