/* A PKCS #11 module in front of another: passes every call on, and is as tokens at the end of a network are. By the environment:
   SLOW_TOKEN_MODULE        the other module
   SLOW_TOKEN_MILLISECONDS  what each signature takes longer
   SLOW_TOKEN_STUCK         a file; while it is there, signatures do not come to an end
   SLOW_TOKEN_SESSIONS      how many sessions there may be
   SLOW_TOKEN_FLAGS         more flags of every token
   SLOW_TOKEN_LOSS          a file; the session that makes the next key while it is there is lost then, and the file goes */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "pkcs11/pkcs11.h"

static CK_FUNCTION_LIST slow;
static CK_FUNCTION_LIST_PTR other;
static int sessions;
static CK_SESSION_HANDLE lost = CK_INVALID_HANDLE;

static long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text && *text ? atol(text) : otherwise;
}

static CK_RV slow_sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size) {
  const char *stuck = getenv("SLOW_TOKEN_STUCK");
  usleep(1000 * (useconds_t)number("SLOW_TOKEN_MILLISECONDS", 0));
  while (stuck && access(stuck, F_OK) == 0) usleep(10000);
  return other->C_Sign(session, data, length, signature, size);
}

static CK_RV few_sessions(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session) {
  CK_RV rv;
  if (__sync_add_and_fetch(&sessions, 1) > number("SLOW_TOKEN_SESSIONS", 1000000)) rv = CKR_SESSION_COUNT;
  else rv = other->C_OpenSession(slot, flags, application, notify, session);
  if (rv == CKR_OK && *session == lost) lost = CK_INVALID_HANDLE;
  if (rv != CKR_OK) __sync_sub_and_fetch(&sessions, 1);
  return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session) {
  CK_RV rv = other->C_CloseSession(session);
  if (rv == CKR_OK) __sync_sub_and_fetch(&sessions, 1);
  return rv;
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public_template, CK_ULONG public_count,
                      CK_ATTRIBUTE_PTR private_template, CK_ULONG private_count, CK_OBJECT_HANDLE_PTR public_key,
                      CK_OBJECT_HANDLE_PTR private_key) {
  const char *loss = getenv("SLOW_TOKEN_LOSS");
  CK_RV rv = other->C_GenerateKeyPair(session, mechanism, public_template, public_count, private_template, private_count, public_key,
                                      private_key);
  if (rv == CKR_OK && loss && unlink(loss) == 0) lost = session;
  return rv;
}

static CK_RV attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR template, CK_ULONG count) {
  return session == lost ? CKR_DEVICE_REMOVED : other->C_GetAttributeValue(session, object, template, count);
}

static CK_RV find(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count) {
  return session == lost ? CKR_DEVICE_REMOVED : other->C_FindObjectsInit(session, template, count);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  CK_RV rv = other->C_GetTokenInfo(slot, info);
  if (rv == CKR_OK) info->flags |= (CK_FLAGS)number("SLOW_TOKEN_FLAGS", 0);
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  const char *path = getenv("SLOW_TOKEN_MODULE");
  void *module = path && !other ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : 0;
  CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : 0;
  if (!other) {
    if (!get || get(&other) != CKR_OK) return CKR_GENERAL_ERROR;
    slow = *other;
    slow.C_Sign = slow_sign;
    slow.C_OpenSession = few_sessions;
    slow.C_CloseSession = close_session;
    slow.C_GetTokenInfo = token_info;
    slow.C_GenerateKeyPair = generate;
    slow.C_GetAttributeValue = attributes;
    slow.C_FindObjectsInit = find;
  }
  *list = &slow;
  return CKR_OK;
}
