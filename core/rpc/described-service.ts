import {
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonObject,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { MezError } from "../errors/error.js";
import type { UnaryRpcMethod } from "../plugin/rpc.js";

/** Bytes of descriptors that a description may bring: far more than any service needs. */
const MAX_DESCRIPTOR_BYTES = 1024 * 1024;

/** Services as their descriptors have them, for calls that no generated code exists for. */
export class DescribedServices {
  readonly #registry: FileRegistry;

  /**
   * @param descriptors A `google.protobuf.FileDescriptorSet` each.
   * @throws {MezError} `INVALID_DOCUMENT` for what is none, or is too large.
   */
  constructor(descriptors: readonly Uint8Array[]) {
    if (descriptors.reduce((sum, { length }) => sum + length, 0) > MAX_DESCRIPTOR_BYTES)
      throw new MezError("INVALID_DOCUMENT", `the descriptors of the services are larger than ${MAX_DESCRIPTOR_BYTES} bytes`);
    try {
      const files = new Map(
        descriptors.flatMap((each) => fromBinary(FileDescriptorSetSchema, each).file).map((file) => [file.name, file] as const),
      );
      this.#registry = createFileRegistry({ $typeName: "google.protobuf.FileDescriptorSet", file: [...files.values()] });
    } catch (cause) {
      throw new MezError("INVALID_DOCUMENT", "the descriptors of the services cannot be read", { cause });
    }
  }

  /**
   * @param name `acme.freezes.v1.FreezeService/CreateFreeze`.
   * @returns `null` for an unknown one, and for one that streams.
   */
  method(name: string): DescMethod | null {
    const [service = "", method] = name.split("/");
    const found = this.#registry.getService(service)?.methods.find((each) => each.name === method);
    return found?.methodKind === "unary" ? found : null;
  }

  /** The method as a client calls it, with messages as protobuf writes them in JSON: every field is there, in camel case. */
  jsonMethod({ name, parent, input, output }: DescMethod): UnaryRpcMethod<JsonObject, JsonObject> {
    return {
      path: `/${parent.typeName}/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: (value) => Buffer.from(toBinary(input, this.#fromJson(input, value))),
      requestDeserialize: (bytes) => this.#toJson(input, bytes),
      responseSerialize: (value) => Buffer.from(toBinary(output, this.#fromJson(output, value))),
      responseDeserialize: (bytes) => this.#toJson(output, bytes),
    };
  }

  #fromJson(schema: DescMessage, value: JsonObject) {
    return fromJson(schema, value, { registry: this.#registry });
  }

  #toJson(schema: DescMessage, bytes: Uint8Array): JsonObject {
    const json = toJson(schema, fromBinary(schema, bytes), { registry: this.#registry, alwaysEmitImplicit: true });
    return json as JsonObject;
  }
}
