internal import AMQP
internal import Crypto
internal import FoundationEssentials
internal import Model

/// What a message is known by, together with its consumer's name.
struct InboxKey: Hashable, Comparable, Sendable {
    var source: String
    var eventID: UUID

    static func < (lhs: Self, rhs: Self) -> Bool { (lhs.eventID, lhs.source) < (rhs.eventID, rhs.source) }

    /// For a body that carries neither id nor source: the same bytes are the same message. Half of the SHA-256, marked
    /// as a UUID of version 8.
    static func unknown(_ body: [UInt8]) -> InboxKey {
        var bytes = Array(SHA256.hash(data: body).prefix(16))
        bytes[6] = 0x80 | (bytes[6] & 0x0F)
        bytes[8] = 0x80 | (bytes[8] & 0x3F)
        let id = UUID(
            uuid: (
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8], bytes[9],
                bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]
            ))
        return InboxKey(source: "unknown", eventID: id)
    }
}

/// A message on its way through a consumer, whichever way it came.
struct Message: Sendable {
    enum Content: Sendable {
        case event(Event)
        case poison(String)
    }

    var key: InboxKey
    var content: Content
    var type: String?
    var body: [UInt8]
    var path: ConsumerMetrics.Path
    /// Nil unless the broker brought it.
    var parcel: Parcel?
    /// How often it has been given back because a neighbour held its lock.
    var deferrals = 0
    /// An earlier try is on record in `lane_attempt` or `retry`, to be removed with its success.
    var isRecorded = false
    /// The key of that record, if it is not the event's own: nobody could read the body when it was parked.
    var recordKey: InboxKey?

    /// Where an earlier try is on record.
    var recordedAs: InboxKey { recordKey ?? key }

    var event: Event? { if case .event(let event) = content { event } else { nil } }

    /// A process died over it before, perhaps because of it.
    var isSuspect: Bool { (parcel?.delivery.deliveryCount ?? 0) >= 5 }
}

extension Message {
    /// - Parameters:
    ///   - source: what the message's envelope says, for a body that does not say it; so too `id` and `type`.
    init(body: [UInt8], path: ConsumerMetrics.Path, source: String?, id: UUID?, type: String?) {
        self.body = body
        self.path = path
        do {
            let event = try Event(structuredJSON: body)
            self.key = InboxKey(source: event.source.rawValue, eventID: event.id.rawValue)
            self.type = event.type.rawValue
            guard event.source == event.type.publisher else {
                self.content = .poison("\(event.type.rawValue) is not published by \(event.source.rawValue)")
                return
            }
            self.content = .event(event)
        } catch {
            self.content = .poison(DecodingFault.describe(error))
            self.type = type.map { String($0.prefix(120)) }
            let said = try? JSONDecoder().decode(SaidOfItself.self, from: Data(body))
            if let source = said?.source ?? source.flatMap({ ServiceName(rawValue: $0) }), let id = said?.id ?? id {
                self.key = InboxKey(source: source.rawValue, eventID: id)
            } else {
                self.key = .unknown(body)
            }
        }
    }
}

/// What a body that cannot be read as an event says of itself all the same: one of a type that only a later release knows
/// still has its id. The members of a batch have no envelope that would say it for them.
private struct SaidOfItself: Decodable {
    let source: ServiceName?
    let id: UUID?

    private enum Key: String, CodingKey { case source, id }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        source = try? container.decode(ServiceName.self, forKey: .source)
        id = (try? container.decode(EventRecord.ID.self, forKey: .id))?.rawValue
    }
}

/// What is wrong with a body, by the path of the field and never by its value.
enum DecodingFault {
    static func describe(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "the body cannot be read" }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context): return "\(path(context.codingPath)) has the wrong type"
        case .valueNotFound(_, let context): return "\(path(context.codingPath)) is null"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "the body is not JSON" : "\(path(context.codingPath)) is not valid"
        @unknown default: return "the body cannot be decoded"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.isEmpty ? "the body" : keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
    }
}
