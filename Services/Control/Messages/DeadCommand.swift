internal import ArgumentParser
internal import FoundationEssentials
internal import Model
internal import Outbox

struct DeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Look after messages that a service could not make sense of.",
        discussion: """
            A dead letter is a message whose handler found it to be nonsense: it is out of the way, and nothing else waits \
            for it. Mend the cause, then retry; or discard it for good (its row stays, with who did it).
            """,
        subcommands: [List.self, Retry.self, Discard.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List dead letters, newest first.")

        @Option(help: "intake, dispatch, gis-sync, scoring or notification; all if not given.")
        var service: ServiceName?

        @Option(help: "At most so many of each service.")
        var limit = 50

        @Flag(help: "Show the message itself. It may be anything.")
        var body = false

        @OptionGroup var output: OutputOptions

        struct Line: Encodable {
            var id: UUID
            var service: ServiceName
            var consumer: String
            var source: String
            var type: String?
            var reason: String
            var version: String
            var deadAt: String
            var body: String?

            private enum CodingKeys: String, CodingKey {
                case id, service, consumer, source, type, reason, version, body
                case deadAt = "dead_at"
            }
        }

        func run() async throws {
            let lines = try await ControlDatabase.use { database in
                var lines: [Line] = []
                for service in service.map({ [$0] }) ?? ServiceName.allCases {
                    for letter in try await DeadLetters(service: service, database: database.client).list(limit: limit)
                    {
                        lines.append(
                            Line(
                                id: letter.id, service: service, consumer: letter.consumer, source: letter.source,
                                type: letter.type, reason: letter.reason, version: letter.version,
                                deadAt: "\(letter.deadAt)",
                                body: body ? String(decoding: letter.body, as: UTF8.self) : nil))
                    }
                }
                return lines
            }
            let text = lines.map { line in
                [line.id.uuidString.lowercased(), line.deadAt, line.consumer, line.type ?? "?", line.reason]
                    .joined(separator: "  ") + (line.body.map { "\n    \($0)" } ?? "")
            }
            try output.show(lines, lines.isEmpty ? "No dead letters." : text.joined(separator: "\n"))
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Hand dead letters to their consumers again, as if they had never failed.")

        @Argument(help: "Ids of dead letters.")
        var ids: [String]

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await eachLetter(ids, output, "retried") { try await $0.retry($1) }
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Set dead letters aside for good.")

        @Argument(help: "Ids of dead letters.")
        var ids: [String]

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await eachLetter(ids, output, "discarded") { try await $0.discard($1, by: ControlDatabase.actor) }
        }
    }

    struct Result: Encodable {
        var id: String
        var found: Bool
    }

    /// Ids are unique over all services, so the one that has the letter is found by asking each.
    private static func eachLetter(
        _ ids: [String], _ output: OutputOptions, _ fact: String,
        _ act: @escaping @Sendable (DeadLetters, UUID) async throws -> Bool
    ) async throws {
        let wanted = try ids.map { text in
            guard let id = UUID(uuidString: text) else { throw ValidationError("\(text) is no id of a dead letter") }
            return id
        }
        let results = try await ControlDatabase.use { database in
            var results: [Result] = []
            for id in wanted {
                var found = false
                for service in ServiceName.allCases where !found {
                    found = try await act(DeadLetters(service: service, database: database.client), id)
                }
                results.append(Result(id: id.uuidString.lowercased(), found: found))
            }
            return results
        }
        let text = results.map { $0.found ? "\($0.id) \(fact)" : "\($0.id): no such dead letter" }
        try output.show(results, text.joined(separator: "\n"))
        guard results.allSatisfy(\.found) else { throw Findings() }
    }
}
