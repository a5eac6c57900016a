/// One `COPY … FROM STDIN` in text form.
struct CopyIn {
    private static let chunkBytes = 64 << 10

    let core: ClientCore
    let lease: ClientCore.Lease
    let table: String
    let columns: [String]

    private var command: String {
        let name = table.split(separator: ".", maxSplits: 1).map { SQL.quotedIdentifier(String($0)) }
        let list = columns.map(SQL.quotedIdentifier).joined(separator: ", ")
        return "COPY \(name.joined(separator: ".")) (\(list)) FROM STDIN"
    }

    nonisolated(nonsending) func send(_ rows: some Sequence<[(any PostgresEncodable)?]>) async throws -> Int {
        try await begin()
        return try await finish {
            var chunk: [UInt8] = []
            for row in rows { try await add(row, to: &chunk) }
            return chunk
        }
    }

    nonisolated(nonsending) func send<Source: AsyncSequence>(_ rows: Source) async throws -> Int
    where Source.Element == [(any PostgresEncodable)?] {
        try await begin()
        return try await finish {
            var chunk: [UInt8] = []
            for try await row in rows { try await add(row, to: &chunk) }
            return chunk
        }
    }

    private nonisolated(nonsending) func begin() async throws {
        guard case .copyIn = try await core.open(command, on: lease) else {
            core.abandon(lease)
            throw PostgresError(.connection, "the server did not begin the COPY")
        }
    }

    private nonisolated(nonsending) func add(_ row: [(any PostgresEncodable)?], to chunk: inout [UInt8]) async throws {
        guard row.count == columns.count else {
            throw PostgresError(.encoding, "a row has \(row.count) values for \(columns.count) columns")
        }
        try CopyText.append(row, to: &chunk)
        guard chunk.count >= Self.chunkBytes else { return }
        try await core.send(chunk, on: lease)
        chunk.removeAll(keepingCapacity: true)
    }

    private nonisolated(nonsending) func finish(_ body: nonisolated(nonsending) () async throws -> [UInt8]) async throws
        -> Int
    {
        do {
            let rest = try await body()
            if !rest.isEmpty { try await core.send(rest, on: lease) }
        } catch {
            // The server throws the rows away; if it cannot be told, the connection has gone and it does so too.
            _ = try? await core.endCopy(failure: "the source of the rows failed", on: lease)
            throw error
        }
        return try await core.endCopy(failure: nil, on: lease)
    }
}

/// A row of COPY's text form: tab between values, `\N` for NULL, backslashes before what would be misread.
enum CopyText {
    static func append(_ row: [(any PostgresEncodable)?], to bytes: inout [UInt8]) throws {
        for (index, value) in row.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "\t")) }
            guard let text = value?.postgresText else {
                bytes += [UInt8(ascii: "\\"), UInt8(ascii: "N")]
                continue
            }
            for byte in text.utf8 {
                switch byte {
                case 0: throw PostgresError(.encoding, "a value has a zero byte")
                case UInt8(ascii: "\\"): bytes += [byte, byte]
                case UInt8(ascii: "\t"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
                case UInt8(ascii: "\n"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
                case UInt8(ascii: "\r"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
                default: bytes.append(byte)
                }
            }
        }
        bytes.append(UInt8(ascii: "\n"))
    }
}
