/* verify.h - judging a public log by nothing but public files. */
#ifndef RF_VERIFY_VERIFY_H
#define RF_VERIFY_VERIFY_H

#endif
