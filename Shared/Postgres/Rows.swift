/// The answer of one statement.
public struct Rows: Sendable, RandomAccessCollection {
    let result: ResultHandle

    public var startIndex: Int { 0 }
    public var endIndex: Int { result.rowCount }

    public subscript(position: Int) -> Row {
        precondition(position >= 0 && position < result.rowCount, "a row outside the answer")
        return Row(result: result, index: position)
    }

    /// Rows that the command changed, or returned.
    public var affected: Int { result.affected }
    /// As the server words it: `INSERT 0 3`.
    public var commandTag: String { result.commandTag }
    public var columns: [String] { result.columns }

    /// All rows, each by position: `rows.decode((UUID, String).self)`.
    public func decode<each T: PostgresDecodable>(_ types: (repeat each T).Type) throws -> [(repeat each T)] {
        try map { try $0.decode(types) }
    }

    /// The first column of all rows.
    public func column<T: PostgresDecodable>(_ type: T.Type = T.self) throws -> [T] {
        try map { try $0.decode(0) }
    }
}

/// One row of an answer.
public struct Row: Sendable {
    let result: ResultHandle
    let index: Int

    public var columns: [String] { result.columns }
    public var columnCount: Int { result.columnCount }

    /// By the name that the statement gave it.
    public func decode<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws -> T {
        guard let number = result.column(named: column) else {
            throw PostgresError(.decoding, "the answer has no such column", column: column)
        }
        return try decode(number, as: type)
    }

    /// By position, from 0.
    public func decode<T: PostgresDecodable>(_ column: Int, as type: T.Type = T.self) throws -> T {
        guard column >= 0, column < result.columnCount else {
            throw PostgresError(.decoding, "the answer has no column \(column)")
        }
        do {
            let value = try T.decode(postgres: result.cell(row: index, column: column))
            // The cell points into the result, which must outlive the decoding.
            withExtendedLifetime(result) {}
            return value
        } catch {
            let reason = error as? DecodingProblem == .null ? "is NULL" : "does not read as"
            throw PostgresError(.decoding, "a value \(reason) \(T.self)", column: result.columns[column])
        }
    }

    /// Typed ids and enums need no conformance of their own.
    @_disfavoredOverload
    public func decode<T: RawRepresentable>(_ column: String, as type: T.Type = T.self) throws -> T
    where T.RawValue: PostgresDecodable {
        try wrap(try decode(column, as: T.RawValue.self), column)
    }

    @_disfavoredOverload
    public func decode<T: RawRepresentable>(_ column: Int, as type: T.Type = T.self) throws -> T
    where T.RawValue: PostgresDecodable {
        try wrap(try decode(column, as: T.RawValue.self), String(column))
    }

    @_disfavoredOverload
    public func decode<T: RawRepresentable>(_ column: String, as type: T?.Type = T?.self) throws -> T?
    where T.RawValue: PostgresDecodable {
        try decode(column, as: T.RawValue?.self).map { try wrap($0, column) }
    }

    @_disfavoredOverload
    public func decode<T: RawRepresentable>(_ column: String, as type: [T].Type = [T].self) throws -> [T]
    where T.RawValue: PostgresDecodable {
        try decode(column, as: [T.RawValue].self).map { try wrap($0, column) }
    }

    private func wrap<T: RawRepresentable>(_ raw: T.RawValue, _ column: String) throws -> T {
        guard let value = T(rawValue: raw) else {
            throw PostgresError(.decoding, "a value is no \(T.self)", column: column)
        }
        return value
    }

    /// All columns by position: `row.decode((UUID, String, Int?).self)`.
    public func decode<each T: PostgresDecodable>(_ types: (repeat each T).Type) throws -> (repeat each T) {
        var column = -1
        func next<U: PostgresDecodable>(_ type: U.Type) throws -> U {
            column += 1
            return try decode(column, as: type)
        }
        return (repeat try next((each T).self))
    }

    public subscript<T: PostgresDecodable>(_ column: String) -> T {
        get throws { try decode(column) }
    }
}
