/// A statement with its parameters.
///
/// Interpolated values become parameters (`$1`, `$2` …) and never text:
///
///     let sql: SQL = "SELECT id FROM intake.report WHERE code = \(code) AND district_id = ANY(\(districts))"
///
/// Text comes in by three doors only: the literal itself, `\(unsafe: "…")` with a literal, and `\(identifier: name)`,
/// which is quoted. Another `SQL` may be interpolated whole. The server infers the type of strings, `Int` and string
/// arrays from where they stand; where the place does not tell, write a cast: `unnest(\(names)::text[])`.
public struct SQL: Sendable {
    /// With `$n` where the parameters stand.
    public let text: String
    public let parameters: [PostgresParameter]
    /// The text around the parameters: always one more than there are parameters.
    let pieces: [String]

    init(pieces: [String], parameters: [PostgresParameter]) {
        self.pieces = pieces
        self.parameters = parameters
        guard pieces.count > 1 else {
            text = pieces.first ?? ""
            return
        }
        var text = pieces[0]
        text.reserveCapacity(pieces.reduce(pieces.count * 3) { $0 + $1.utf8.count })
        for index in 1..<pieces.count {
            text += "$\(index)"
            text += pieces[index]
        }
        self.text = text
    }

    /// Text that the program itself wrote.
    public init(_ text: StaticString) {
        self.init(pieces: [text.description], parameters: [])
    }

    /// Text from a trusted file of the program (a migration), never from a user.
    public init(unsafe text: String) {
        self.init(pieces: [text], parameters: [])
    }

    public static func + (left: SQL, right: SQL) -> SQL {
        var pieces = left.pieces
        pieces[pieces.count - 1] += right.pieces[0]
        pieces += right.pieces.dropFirst()
        return SQL(pieces: pieces, parameters: left.parameters + right.parameters)
    }

    public static func += (left: inout SQL, right: SQL) { left = left + right }

    /// Parts with a separator between them: conditions, rows of VALUES.
    public static func joined(_ parts: some Sequence<SQL>, separator: StaticString = ", ") -> SQL {
        var joined = Interpolation(literalCapacity: 0, interpolationCount: 0)
        var isFirst = true
        for part in parts {
            if !isFirst { joined.appendLiteral(separator.description) }
            joined.appendInterpolation(part)
            isFirst = false
        }
        return SQL(stringInterpolation: joined)
    }
}

extension SQL: CustomStringConvertible {
    /// The text alone; values are never printed.
    public var description: String { text }
}

extension SQL: ExpressibleByStringInterpolation {
    public init(stringLiteral value: String) {
        self.init(pieces: [value], parameters: [])
    }

    public init(stringInterpolation: Interpolation) {
        self.init(pieces: stringInterpolation.pieces, parameters: stringInterpolation.parameters)
    }

    public struct Interpolation: StringInterpolationProtocol, Sendable {
        var pieces: [String]
        var parameters: [PostgresParameter] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            pieces = [""]
            pieces.reserveCapacity(interpolationCount + 1)
            parameters.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            pieces[pieces.count - 1] += literal
        }

        mutating func append(_ parameter: PostgresParameter) {
            parameters.append(parameter)
            pieces.append("")
        }

        public mutating func appendInterpolation(_ value: some PostgresEncodable) {
            append(value.postgresParameter)
        }

        /// Nil is NULL. Without this one the compiler warns that an optional would be printed.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            append(value.postgresParameter)
        }

        public mutating func appendInterpolation(_ value: PostgresParameter) {
            append(value)
        }

        /// Typed ids and enums need no conformance of their own.
        @_disfavoredOverload
        public mutating func appendInterpolation<T: RawRepresentable>(_ value: T) where T.RawValue: PostgresEncodable {
            append(value.rawValue.postgresParameter)
        }

        @_disfavoredOverload
        public mutating func appendInterpolation<T: RawRepresentable>(_ value: T?)
        where T.RawValue: PostgresEncodable {
            append(value.map(\.rawValue).postgresParameter)
        }

        @_disfavoredOverload
        public mutating func appendInterpolation<T: RawRepresentable>(_ values: [T])
        where T.RawValue: PostgresEncodable {
            append(values.map(\.rawValue).postgresParameter)
        }

        /// Another statement's text and parameters, in place.
        public mutating func appendInterpolation(_ sql: SQL) {
            pieces[pieces.count - 1] += sql.pieces[0]
            pieces += sql.pieces.dropFirst()
            parameters += sql.parameters
        }

        /// Text that the program itself wrote: a keyword, a direction.
        public mutating func appendInterpolation(unsafe text: StaticString) {
            appendLiteral(text.description)
        }

        /// A name, quoted. `schema.table` is two names: write `\(identifier: "schema").\(identifier: "table")`.
        public mutating func appendInterpolation(identifier name: String) {
            appendLiteral(SQL.quotedIdentifier(name))
        }
    }

    static func quotedIdentifier(_ name: String) -> String {
        var quoted = "\""
        for scalar in name.unicodeScalars {
            if scalar == "\"" { quoted.unicodeScalars.append(scalar) }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}

extension SQL {
    /// libpq takes texts as C strings and counts parameters in 16 bits; what does not fit is refused before anything
    /// is sent.
    func checked(index: Int) throws(PostgresError) {
        var problem: String?
        if parameters.count > 65_535 { problem = "a statement has more than 65,535 parameters" }
        if text.utf8.contains(0) { problem = "a statement's text has a zero byte" }
        for (number, parameter) in parameters.enumerated() where parameter.hasZeroByte {
            problem = "parameter $\(number + 1) has a zero byte"
        }
        if let problem { throw PostgresError(.encoding, problem, statementIndex: index) }
    }

    /// Roughly what goes over the wire.
    var byteCount: Int { parameters.reduce(64) { $0 + 8 + $1.byteCount } }
}
