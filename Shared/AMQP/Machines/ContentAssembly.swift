import NIOCore

/// Puts a message together from its method, header and body frames. One per channel: frames of other channels fall
/// between them.
struct ContentAssembly {
    enum Progress {
        case partial
        case whole(InboundMethod, MessageProperties, body: [UInt8])
        case violation(String)
    }

    private enum State {
        case idle
        case awaitingHeader(InboundMethod)
        case awaitingBody(InboundMethod, MessageProperties, size: Int)
    }

    /// RabbitMQ's own default bound of a message.
    static let largestBody: UInt64 = 128 << 20
    /// What is reserved ahead on the word of a header, in bytes.
    private static let largestReservation = 1 << 20

    private var state = State.idle
    private var body: [UInt8] = []

    var isIdle: Bool {
        if case .idle = state { true } else { false }
    }

    mutating func begin(_ method: InboundMethod) {
        state = .awaitingHeader(method)
        body = []
    }

    mutating func header(bodySize: UInt64, properties: MessageProperties) -> Progress {
        guard case .awaitingHeader(let method) = state else { return .violation("a content header out of order") }
        guard bodySize <= Self.largestBody else { return .violation("a message of \(bodySize) bytes") }
        guard bodySize > 0 else {
            state = .idle
            return .whole(method, properties, body: [])
        }
        body.reserveCapacity(min(Int(bodySize), Self.largestReservation))
        state = .awaitingBody(method, properties, size: Int(bodySize))
        return .partial
    }

    mutating func body(_ bytes: ByteBuffer) -> Progress {
        guard case .awaitingBody(let method, let properties, let size) = state else {
            return .violation("a body frame out of order")
        }
        guard body.count + bytes.readableBytes <= size else { return .violation("a body longer than announced") }
        body.append(contentsOf: bytes.readableBytesView)
        guard body.count == size else { return .partial }
        state = .idle
        let whole = body
        body = []
        return .whole(method, properties, body: whole)
    }
}
