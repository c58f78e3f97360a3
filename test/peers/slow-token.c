/* A PKCS #11 module in front of another: passes every call on, and lets C_Sign take a while, as a token at the end of a network does.
   SLOW_TOKEN_MODULE is the other module, SLOW_TOKEN_MILLISECONDS what each signature takes longer. A file SLOW_TOKEN_STUCK, while it
   is there, holds signatures up. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "pkcs11/pkcs11.h"

static CK_FUNCTION_LIST slow;
static CK_C_Sign sign;

static CK_RV slow_sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size) {
  const char *milliseconds = getenv("SLOW_TOKEN_MILLISECONDS"), *stuck = getenv("SLOW_TOKEN_STUCK");
  if (milliseconds) usleep(1000 * (useconds_t)atoi(milliseconds));
  while (stuck && access(stuck, F_OK) == 0) usleep(10000);
  return sign(session, data, length, signature, size);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  CK_FUNCTION_LIST_PTR other;
  if (sign) {
    *list = &slow;
    return CKR_OK;
  }
  const char *path = getenv("SLOW_TOKEN_MODULE");
  void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : 0;
  CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : 0;
  if (!get || get(&other) != CKR_OK) return CKR_GENERAL_ERROR;
  slow = *other;
  sign = other->C_Sign;
  slow.C_Sign = slow_sign;
  *list = &slow;
  return CKR_OK;
}
