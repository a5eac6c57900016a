/// The life of one place in a pool, without any I/O. Every event is answered in every state: what cannot be is
/// answered by `.discard`, never by a trap.
enum SlotState: Equatable {
    case down
    case connecting
    /// Connected; `users` segments or one lease are on it.
    case up(users: Int)
    /// A lease ended inside a transaction or with work under way: it is brought to rest before its next user.
    case cleaning
    /// Takes nobody new and is closed once its users are gone.
    case retiring(users: Int)
    case closed

    enum Event: Equatable, CaseIterable {
        case connect
        case connected
        case connectFailed
        case acquire
        /// A user is done and the session is at rest (or, on a shared one, goes on with the others).
        case release
        /// A user is done but the session is not at rest.
        case releaseDirty
        case cleaned
        /// Too old, too large, or no longer writable.
        case retire
        case lost
        case shutDown
    }

    enum Action: Equatable {
        case none
        /// Open a session.
        case open
        /// Serve whoever waits.
        case serve
        /// Bring the session to rest: wait for its answers, then ROLLBACK.
        case clean
        /// Close the session in good order.
        case close
        /// The session is gone or unusable: throw it away and fail its users.
        case discard
    }

    var canTakeUser: Bool {
        if case .up = self { return true }
        return false
    }

    var users: Int {
        switch self {
        case .up(let users), .retiring(let users): users
        case .cleaning: 1
        case .down, .connecting, .closed: 0
        }
    }

    mutating func apply(_ event: Event) -> Action {
        switch (self, event) {
        case (.closed, .connect), (.closed, .shutDown): return .none
        case (.closed, _): return .discard
        case (.down, .connect):
            self = .connecting
            return .open
        case (.down, .shutDown):
            self = .closed
            return .none
        case (.down, .retire), (.down, .lost), (.down, .connectFailed): return .none
        case (.connecting, .connected):
            self = .up(users: 0)
            return .serve
        case (.connecting, .connectFailed), (.connecting, .lost), (.connecting, .retire):
            self = .down
            return .discard
        case (.connecting, .shutDown):
            self = .closed
            return .discard
        case (.up(let users), .acquire):
            self = .up(users: users + 1)
            return .none
        case (.up(let users), .release) where users > 0:
            self = .up(users: users - 1)
            return .serve
        case (.up(let users), .releaseDirty) where users > 0:
            self = .cleaning
            return .clean
        case (.up(let users), .retire):
            self = users == 0 ? .down : .retiring(users: users)
            return users == 0 ? .close : .none
        case (.up(let users), .shutDown):
            self = users == 0 ? .closed : .retiring(users: users)
            return users == 0 ? .close : .none
        case (.cleaning, .cleaned):
            self = .up(users: 0)
            return .serve
        case (.cleaning, .retire), (.cleaning, .shutDown):
            self = .retiring(users: 1)
            return .none
        case (.retiring(let users), .release), (.retiring(let users), .cleaned):
            self = users > 1 ? .retiring(users: users - 1) : .down
            return users > 1 ? .none : .close
        case (.retiring, .releaseDirty):
            self = .down
            return .discard
        case (.retiring, .retire), (.retiring, .shutDown): return .none
        case (.up, .connect), (.connecting, .connect), (.cleaning, .connect), (.retiring, .connect):
            return .none
        case (.up, .lost), (.cleaning, .lost), (.retiring, .lost):
            self = .down
            return .discard
        case (.down, _), (.connecting, _), (.up, _), (.cleaning, _), (.retiring, _):
            // An order of events that should not be: the session cannot be trusted any more.
            self = .down
            return .discard
        }
    }
}
