import FoundationEssentials
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Postgres
import ServiceKit
import Synchronization

/// Sends mails by SMTP (RFC 5321): one connection a mail, STARTTLS where it is configured, AUTH PLAIN only inside TLS.
struct SMTP: Sendable {
    let server: ServiceConfiguration.SMTP
    let eventLoops: any EventLoopGroup
    /// From connecting to the end.
    var timeout: Duration = .seconds(15)

    func send(_ message: Message, to address: String, now: Timestamp) async -> SendOutcome {
        guard MailFormat.isAddress(address) else {
            return .refused(detail: "the address is no mail address", retryAfter: nil, isFinal: true)
        }
        let progress = Progress()
        do {
            return try await withThrowingTaskGroup(of: SendOutcome.self) { group in
                group.addTask { try await talk(message, to: address, now: now, progress: progress) }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    throw SMTPError.late
                }
                defer { group.cancelAll() }
                return try await group.next() ?? .notSent(detail: "nothing happened")
            }
        } catch {
            let detail = Self.words(for: error)
            // Once the end mark is out the server may have taken the mail.
            return progress.isHandedOver ? .unknown(detail: detail) : .notSent(detail: detail)
        }
    }

    private static func words(for error: any Error) -> String {
        switch error {
        case let error as SMTPError: "\(error)"
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            "the server's certificate is for another name"
        case NIOSSLError.handshakeFailed: "no TLS with the server: its certificate is not trusted, or it speaks none"
        case is NIOConnectionError: "no connection"
        default: "\(type(of: error))"
        }
    }

    enum SMTPError: Error, Sendable, Hashable, CustomStringConvertible {
        case late, closed, malformed
        case noStartTLS
        case wordsInClear

        var description: String {
            switch self {
            case .late: "no answer in time"
            case .closed: "the connection ended"
            case .malformed: "an answer is not SMTP"
            case .noStartTLS: "the server does not offer STARTTLS"
            case .wordsInClear: "words in clear came in where TLS begins"
            }
        }
    }

    /// Whether the mail has left our hands.
    private final class Progress: Sendable {
        private let state = Mutex(false)
        var isHandedOver: Bool { state.withLock { $0 } }
        func handOver() { state.withLock { $0 = true } }
    }

    private func tlsContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file = server.authorities { configuration.trustRoots = .file(file) }
        return try NIOSSLContext(configuration: configuration)
    }

    private func talk(_ message: Message, to address: String, now: Timestamp, progress: Progress) async throws
        -> SendOutcome
    {
        let context = server.tls == .disable ? nil : try tlsContext()
        let host = server.host
        let startsInTLS = server.tls == .tls
        let (channel, lines, handshake) = try await ClientBootstrap(group: eventLoops)
            .connectTimeout(.seconds(5))
            .connect(host: host, port: server.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handshake = try (startsInTLS ? context : nil).map {
                        try Self.beginTLS(with: $0, to: host, on: channel)
                    }
                    let lines = SMTPLines()
                    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(lines))
                    return (
                        try NIOAsyncChannel<String, ByteBuffer>(wrappingChannelSynchronously: channel),
                        NIOLoopBound(lines, eventLoop: channel.eventLoop), handshake
                    )
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            if let handshake { try await Self.wait(for: handshake, on: channel.channel) }
            var dialogue = Dialogue(answers: inbound.makeAsyncIterator(), outbound: outbound)
            if let no = try await dialogue.expect(220, to: .greeting) { return no }
            var offers: Set<String> = []
            if let no = try await dialogue.hello(&offers) { return no }
            if server.tls == .starttls {
                guard offers.contains("STARTTLS"), let context else { throw SMTPError.noStartTLS }
                if let no = try await dialogue.say("STARTTLS", .starttls, 220) { return no }
                // On the event loop, so that nothing can come in between the look and the handler.
                let read = dialogue.linesRead
                let handshake = try await channel.channel.eventLoop.submit {
                    try lines.value.requireNothing(beyond: read)
                    return try Self.beginTLS(with: context, to: host, on: channel.channel)
                }.get()
                try await Self.wait(for: handshake, on: channel.channel)
                if let no = try await dialogue.hello(&offers) { return no }
            }
            if let user = server.user, let password = server.password, server.tls != .disable {
                let secret = Data("\0\(user)\0\(password.value)".utf8).base64EncodedString()
                if let no = try await dialogue.say("AUTH PLAIN \(secret)", .auth, 235) { return no }
            }
            if let no = try await dialogue.say("MAIL FROM:<\(server.from)>", .sender, 250) { return no }
            if let no = try await dialogue.say("RCPT TO:<\(address)>", .recipient, 250) { return no }
            if let no = try await dialogue.say("DATA", .data, 354) { return no }
            // Base64 lines and headers never begin with a dot, so nothing needs stuffing.
            let bytes = MailFormat.bytes(message, from: server.from, to: address, date: now)
            try await dialogue.write(bytes)
            progress.handOver()
            let outcome = try await dialogue.end()
            try? await dialogue.write(Array("QUIT\r\n".utf8))
            return outcome
        }
    }

    /// On the channel's event loop. The future ends with the handshake.
    private static func beginTLS(
        with context: NIOSSLContext, to host: String, on channel: any Channel
    ) throws -> EventLoopFuture<Void> {
        let handshake = SMTPHandshake(on: channel.eventLoop)
        let tls = try NIOSSLClientHandler(context: context, serverHostname: host.isIPAddress ? nil : host)
        try channel.pipeline.syncOperations.addHandlers([tls, handshake], position: .first)
        return handshake.future
    }

    private static func wait(for handshake: EventLoopFuture<Void>, on channel: any Channel) async throws {
        try await withTaskCancellationHandler {
            try await handshake.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Commands and answers in turn.
    private struct Dialogue {
        private var answers: NIOAsyncChannelInboundStream<String>.AsyncIterator
        let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        private(set) var linesRead = 0

        init(
            answers: NIOAsyncChannelInboundStream<String>.AsyncIterator,
            outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) {
            self.answers = answers
            self.outbound = outbound
        }

        /// The lines of one answer, and its code.
        mutating func answer() async throws -> (code: Int, lines: [String]) {
            var lines: [String] = []
            while true {
                guard let line = try await answers.next() else { throw SMTPError.closed }
                linesRead += 1
                guard line.utf8.count >= 3, let code = Int(line.prefix(3)), (200...599).contains(code) else {
                    throw SMTPError.malformed
                }
                lines.append(String(line.dropFirst(4)))
                guard lines.count <= 100 else { throw SMTPError.malformed }
                if line.dropFirst(3).first != "-" { return (code, lines) }
            }
        }

        /// Nil if the answer is the one wanted.
        mutating func expect(_ wanted: Int, to step: Step) async throws -> SendOutcome? {
            let (code, _) = try await answer()
            if code == wanted || (wanted == 250 && code == 251) { return nil }
            return Self.refusal(code, step)
        }

        mutating func say(_ command: String, _ step: Step, _ wanted: Int) async throws -> SendOutcome? {
            try await write(Array("\(command)\r\n".utf8))
            return try await expect(wanted, to: step)
        }

        /// Asks what the server offers.
        mutating func hello(_ offers: inout Set<String>) async throws -> SendOutcome? {
            try await write(Array("EHLO sluice\r\n".utf8))
            let (code, lines) = try await answer()
            guard code == 250 else { return Self.refusal(code, .hello) }
            offers = Set(lines.compactMap { $0.split(separator: " ").first.map { $0.uppercased() } })
            return nil
        }

        mutating func end() async throws -> SendOutcome {
            try await write(Array(".\r\n".utf8))
            let (code, _) = try await answer()
            return code == 250 ? .delivered(detail: "SMTP 250") : Self.refusal(code, .message)
        }

        func write(_ bytes: [UInt8]) async throws {
            try await outbound.write(ByteBuffer(bytes: bytes))
        }

        /// A "no" for good counts as such only where it is about the recipient or the mail. Before that it is about the
        /// server or our account (a password that was changed, say), which an operator can mend while it is tried again.
        static func refusal(_ code: Int, _ step: Step) -> SendOutcome {
            .refused(
                detail: "\(step.rawValue): SMTP \(code)", retryAfter: nil,
                isFinal: (500...599).contains(code) && step.isAboutTheMail)
        }
    }

    /// Where in the dialogue an answer came; the log of deliveries names it.
    private enum Step: String {
        case greeting
        case hello = "EHLO"
        case starttls = "STARTTLS"
        case auth = "AUTH"
        case sender = "MAIL FROM"
        case recipient = "RCPT TO"
        case data = "DATA"
        case message = "the mail"

        var isAboutTheMail: Bool {
            switch self {
            case .recipient, .data, .message: true
            case .greeting, .hello, .starttls, .auth, .sender: false
            }
        }
    }
}

extension String {
    /// Certificates are checked against names; an address has none to check.
    var isIPAddress: Bool {
        (try? SocketAddress(ipAddress: self, port: 0)) != nil
    }
}
