import FoundationEssentials
import Model

/// What came of trying to pass a message on.
enum SendOutcome: Sendable, Hashable {
    case delivered(detail: String)
    /// The other side said no. `isFinal`: it will go on saying so.
    case refused(detail: String, retryAfter: Duration?, isFinal: Bool)
    /// It may have arrived: the connection broke after the message was sent. It is sent again under the same id.
    case unknown(detail: String)
    /// It was not handed over.
    case notSent(detail: String)

    var word: String {
        switch self {
        case .delivered: "delivered"
        case .refused: "refused"
        case .unknown: "unknown"
        case .notSent: "not_sent"
        }
    }

    var detail: String {
        switch self {
        case .delivered(let detail), .refused(let detail, _, _), .unknown(let detail), .notSent(let detail):
            String(detail.unicodeScalars.filter { $0.value >= 0x20 }.prefix(300).map(Character.init))
        }
    }
}

/// What is to be passed on: one message to one address.
struct Message: Sendable {
    /// The delivery's id, the same on every repeat.
    var id: UUID
    var createdAt: Timestamp
    var subject: String
    var text: String
    /// For machines.
    var payload: [UInt8]
}
