import type { ChannelEnds, Connection } from "./ssh2-internals.js";
import { DISCONNECT, failConnection, transportOf } from "./transport.js";

/**
 * Holds the peer to the rules of flow control, which ssh2 does not: no data beyond the window (it would pile up in
 * memory), no channel with packets of size 0 (sending on it would never end), no more than `maxChannels` at once.
 * Counts data both ways for `Transport.dataMessages`.
 * @see RFC 4254, 5
 */
export function guardFlow(connection: Connection, maxChannels: number): void {
  const { _protocol: protocol, _chanMgr: channels } = connection;
  const handlers = protocol._handlers;
  const transport = transportOf(protocol);
  const { CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_DATA, CHANNEL_EXTENDED_DATA } = handlers;
  handlers.CHANNEL_OPEN = (self, open) => {
    if (!open.packetSize) return failConnection(protocol, DISCONNECT.protocolError, "channel with packets of size 0");
    if (channels._count >= maxChannels)
      return protocol.channelOpenFail(open.sender, RESOURCE_SHORTAGE, "too many channels are open");
    CHANNEL_OPEN(self, open);
  };
  handlers.CHANNEL_OPEN_CONFIRMATION = (self, confirmation) => {
    if (!confirmation.packetSize) return failConnection(protocol, DISCONNECT.protocolError, "channel with packets of size 0");
    CHANNEL_OPEN_CONFIRMATION(self, confirmation);
  };
  const fits = (recipient: number, data: Buffer): boolean => {
    const found = channels.get(recipient) as (ChannelEnds & { _channel?: ChannelEnds }) | undefined;
    const incoming = (found?._channel ?? found)?.incoming;
    if (incoming === undefined || data.length <= incoming.window) return true;
    failConnection(protocol, DISCONNECT.protocolError, "channel data beyond the window");
    return false;
  };
  handlers.CHANNEL_DATA = (self, recipient, data) => {
    transport.dataMessages += 1;
    if (fits(recipient, data)) CHANNEL_DATA(self, recipient, data);
  };
  handlers.CHANNEL_EXTENDED_DATA = (self, recipient, data, type) => {
    transport.dataMessages += 1;
    if (fits(recipient, data)) CHANNEL_EXTENDED_DATA(self, recipient, data, type);
  };
  const { channelData, channelExtData } = protocol;
  protocol.channelData = (channel, data) => {
    transport.dataMessages += 1;
    channelData.call(protocol, channel, data);
  };
  protocol.channelExtData = (channel, data, type) => {
    transport.dataMessages += 1;
    channelExtData.call(protocol, channel, data, type);
  };
}

// --- internal ---

const RESOURCE_SHORTAGE = 4; // RFC 4254, 5.1
