/// The properties that travel with a message.
public struct MessageProperties: Sendable, Hashable {
    /// How long the broker keeps a message.
    public enum DeliveryMode: UInt8, Sendable {
        case transient = 1
        case persistent = 2
    }

    /// MIME type of the body, for example `application/cloudevents+json`.
    public var contentType: String?
    public var contentEncoding: String?
    /// The event's id; together with ``appID`` it is what a consumer knows a message by.
    public var messageID: String?
    /// The service that the message came from.
    public var appID: String?
    /// The event's type.
    public var type: String?
    public var correlationID: String?
    /// Seconds since 1970-01-01T00:00:00Z.
    public var timestamp: UInt64?
    public var deliveryMode: DeliveryMode
    public var headers: [String: AMQPValue]

    public init(
        contentType: String? = nil, contentEncoding: String? = nil, messageID: String? = nil, appID: String? = nil,
        type: String? = nil, correlationID: String? = nil, timestamp: UInt64? = nil,
        deliveryMode: DeliveryMode = .persistent, headers: [String: AMQPValue] = [:]
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.messageID = messageID
        self.appID = appID
        self.type = type
        self.correlationID = correlationID
        self.timestamp = timestamp
        self.deliveryMode = deliveryMode
        self.headers = headers
    }
}

extension MessageProperties {
    /// The bytes of a short string's length are one: no property but a header may be longer than this.
    static let shortStringLimit = 255

    /// Why the properties cannot travel at all, or `nil`. The encoder would otherwise be fed what has no encoding.
    var fault: String? {
        let texts: [(String, String?)] = [
            ("content type", contentType), ("content encoding", contentEncoding), ("message id", messageID),
            ("app id", appID), ("type", type), ("correlation id", correlationID),
        ]
        for (name, text) in texts where (text?.utf8.count ?? 0) > Self.shortStringLimit {
            return "the \(name) is longer than \(Self.shortStringLimit) bytes"
        }
        if headers.keys.contains(where: { $0.utf8.isEmpty || $0.utf8.count > 128 }) {
            return "a header's name is empty or longer than 128 bytes"
        }
        if headers.values.contains(where: { $0.depth > AMQPValue.maximumDepth - 1 }) {
            return "the headers are nested deeper than \(AMQPValue.maximumDepth) levels"
        }
        return nil
    }

    /// An upper bound of the bytes of the properties on the wire.
    var encodedSizeBound: Int {
        let texts = [contentType, contentEncoding, messageID, appID, type, correlationID]
        return texts.reduce(32) { $0 + 1 + ($1?.utf8.count ?? 0) } + headers.encodedSizeBound
    }
}
