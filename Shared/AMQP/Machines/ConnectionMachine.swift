/// What channel 0 is about: handshake, alarms and farewell. No I/O, no clock; total, so that no peer can trap it.
struct ConnectionMachine {
    enum State: Sendable, Hashable, CaseIterable {
        case awaitingStart, awaitingTune, awaitingOpen, open
        /// This side said farewell and waits for the answer.
        case closing
        case closed
    }

    /// What both ends agreed on.
    struct Agreement: Sendable, Hashable {
        var channelMax: UInt16
        var frameMax: Int
        /// Seconds.
        var heartbeat: UInt16
    }

    enum Action: Sendable, Hashable {
        case none
        case sendStartOK
        case sendTuneOKAndOpen(Agreement)
        case opened
        case blocked(reason: String)
        case unblocked
        /// Answer the farewell, then end.
        case sendCloseOKAndEnd(AMQPError)
        case end(AMQPError)
    }

    private(set) var state: State = .awaitingStart
    /// What this side would like.
    let wish: Agreement

    mutating func received(_ method: InboundMethod) -> Action {
        if state == .closed { return .none }
        if case .connectionClose(let farewell) = method {
            let handshake = state != .open && state != .closing
            state = .closed
            return .sendCloseOKAndEnd(Self.error(farewell, duringHandshake: handshake))
        }
        switch (state, method) {
        case (.awaitingStart, .connectionStart(let mechanisms)):
            guard mechanisms.split(separator: " ").contains("PLAIN") else {
                return end(AMQPError(.cannotConnect, "the broker does not offer the PLAIN mechanism"))
            }
            state = .awaitingTune
            return .sendStartOK
        case (.awaitingTune, .connectionTune(let channelMax, let frameMax, let heartbeat)):
            return agree(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
        case (.awaitingOpen, .connectionOpenOK):
            state = .open
            return .opened
        case (.open, .connectionBlocked(let reason)): return .blocked(reason: reason)
        case (.open, .connectionUnblocked): return .unblocked
        case (.closing, .connectionCloseOK): return end(AMQPError(.connectionLost, "closed by this side"))
        case (.closing, _): return .none
        default: return end(.violation("\(method.id) while \(state)"))
        }
    }

    /// A frame for a channel above 0: `true` if it may be looked at, `false` if it must be dropped, `nil` if it breaks
    /// the protocol.
    func admitsChannelFrames() -> Bool? {
        switch state {
        case .open: true
        case .closing, .closed: false
        case .awaitingStart, .awaitingTune, .awaitingOpen: nil
        }
    }

    /// Whether a farewell can be sent; if not, the connection is simply dropped.
    mutating func requestClose() -> Bool {
        guard state == .open else { return false }
        state = .closing
        return true
    }

    mutating func ended() { state = .closed }

    private mutating func end(_ error: AMQPError) -> Action {
        state = .closed
        return .end(error)
    }

    private mutating func agree(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16) -> Action {
        let agreement = Agreement(
            channelMax: channelMax == 0 ? wish.channelMax : min(wish.channelMax, channelMax),
            frameMax: frameMax == 0 ? wish.frameMax : min(wish.frameMax, Int(frameMax)),
            heartbeat: heartbeat == 0 ? wish.heartbeat : min(wish.heartbeat, heartbeat))
        guard agreement.frameMax >= AMQPConfiguration.frameMaxFloor else {
            return end(.violation("the broker proposes frames of \(frameMax) bytes, below the protocol's floor"))
        }
        state = .awaitingOpen
        return .sendTuneOKAndOpen(agreement)
    }

    private static func error(_ farewell: InboundMethod.Farewell, duringHandshake: Bool) -> AMQPError {
        // 403 ACCESS_REFUSED: user or password; 530 NOT_ALLOWED: virtual host.
        let refused = duringHandshake && [403, 530].contains(farewell.code)
        let text = "\(farewell.code) \(farewell.text)"
        return AMQPError(refused ? .accessRefused : .connectionClosedByPeer(code: farewell.code), text)
    }
}
