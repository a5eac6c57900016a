/// The ways out of the house. Whatever is told apart by it switches over all of them, so the compiler names each place
/// that a new kind has to be thought of.
enum ChannelKind: String, Sendable, Hashable, CaseIterable {
    case webhook, mail
    /// Where the canary's notices end.
    case sink

    /// Whether somebody may be given such a channel.
    var isOffered: Bool {
        switch self {
        case .webhook, .mail: true
        case .sink: false
        }
    }

    static let offered = allCases.filter(\.isOffered)
}
