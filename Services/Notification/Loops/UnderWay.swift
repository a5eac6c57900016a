import FoundationEssentials
import Synchronization

/// The deliveries of a lane that are under way. Each kind of channel has places of its own, since all mails go by one
/// server, and no channel takes more than a few of them: whoever answers slowly or never holds up nobody else.
final class UnderWay: Sendable {
    /// At a time.
    static let perKind = 32
    /// A claim may go beyond it by `perClaim` less one.
    static let perChannel = 4
    static let perClaim = 4

    /// What may be claimed now.
    struct Room: Sendable, Hashable {
        var kinds: [ChannelKind]
        /// Channels that have their share already.
        var busy: [UUID]
        var limit: Int
    }

    private struct State {
        var kinds: [ChannelKind: Int] = [:]
        var channels: [UUID: Int] = [:]
    }

    private let state = Mutex(State())

    var room: Room {
        state.withLock { state in
            let free = ChannelKind.allCases.map { ($0, Self.perKind - state.kinds[$0, default: 0]) }.filter { $0.1 > 0 }
            return Room(
                kinds: free.map(\.0), busy: state.channels.filter { $0.value >= Self.perChannel }.map(\.key).sorted(),
                limit: min(Self.perClaim, free.map(\.1).min() ?? 0))
        }
    }

    func begin(kind: ChannelKind, channel: UUID) {
        state.withLock { state in
            state.kinds[kind, default: 0] += 1
            state.channels[channel, default: 0] += 1
        }
    }

    /// - Returns: whether something may have waited for this place.
    func end(kind: ChannelKind, channel: UUID) -> Bool {
        state.withLock { state in
            let ofKind = state.kinds[kind, default: 1]
            let ofChannel = state.channels[channel, default: 1]
            state.kinds[kind] = ofKind - 1
            state.channels[channel] = ofChannel > 1 ? ofChannel - 1 : nil
            return ofKind >= Self.perKind || ofChannel >= Self.perChannel
        }
    }
}
