// Takes the place of Node's node_object_wrap.h when ssh2's ciphers are built (see native.mjs).
//
// In Node's own, from 24 on, an object that the garbage collector frees takes back a cleanup hook, for which it looks for
// the current context. Most collections run while there is none, and then the process is aborted: "Assertion failed:
// (env) != nullptr". These objects hold nothing that must be given back when a process ends, so they need no hooks.
#ifndef SRC_NODE_OBJECT_WRAP_H_
#define SRC_NODE_OBJECT_WRAP_H_

#include <cassert>
#include <node.h>

namespace node {

/** Ties a C++ object to a JavaScript object: it is deleted when that is collected. */
class ObjectWrap {
 public:
  ObjectWrap() = default;
  ObjectWrap(const ObjectWrap&) = delete;
  ObjectWrap& operator=(const ObjectWrap&) = delete;

  virtual ~ObjectWrap() {
    if (object_.IsEmpty()) return;
    object_.ClearWeak();
    object_.Reset();
  }

  template <class T>
  static T* Unwrap(v8::Local<v8::Object> object) {
    assert(!object.IsEmpty() && object->InternalFieldCount() > 0);
    return static_cast<T*>(static_cast<ObjectWrap*>(object->GetAlignedPointerFromInternalField(0)));
  }

 protected:
  void Wrap(v8::Local<v8::Object> object) {
    assert(object_.IsEmpty() && object->InternalFieldCount() > 0);
    object->SetAlignedPointerInInternalField(0, this);
    object_.Reset(v8::Isolate::GetCurrent(), object);
    object_.SetWeak(this, Collected, v8::WeakCallbackType::kParameter);
  }

 private:
  static void Collected(const v8::WeakCallbackInfo<ObjectWrap>& info) {
    ObjectWrap* wrap = info.GetParameter();
    wrap->object_.Reset();
    delete wrap;
  }

  v8::Global<v8::Object> object_;
};

}  // namespace node

#endif  // SRC_NODE_OBJECT_WRAP_H_
