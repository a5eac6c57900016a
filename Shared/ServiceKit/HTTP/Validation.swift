/// Collects everything that is wrong with a request, so that its sender learns it all at once.
///
///     var check = Validation()
///     let name = check.text("name", input.name, 1...200)
///     check.require(input.endsAt > input.startsAt, "endsAt", code: "order", "…", zh: "…")
///     try check.finish()
public struct Validation {
    public private(set) var errors: [FieldError] = []

    public init() {}

    public var isClean: Bool { errors.isEmpty }

    public mutating func add(_ error: FieldError) { errors.append(error) }

    public mutating func require(
        _ condition: Bool, _ field: String, code: String, _ detail: @autoclosure () -> String,
        zh: @autoclosure () -> String, allowed: [String]? = nil
    ) {
        if !condition { add(FieldError(field, code: code, detail(), zh: zh(), allowed: allowed)) }
    }

    /// A text of so many characters (Unicode scalars, as PostgreSQL counts them), without control characters other than
    /// line breaks and tabs.
    @discardableResult
    public mutating func text(_ field: String, _ value: String, _ length: ClosedRange<Int>) -> String {
        let count = value.unicodeScalars.count
        if count < length.lowerBound {
            add(
                FieldError(
                    field, code: "too_short", "At least \(length.lowerBound) characters are wanted.",
                    zh: "至少需要 \(length.lowerBound) 个字符。"))
        } else if count > length.upperBound {
            add(
                FieldError(
                    field, code: "too_long", "At most \(length.upperBound) characters are accepted.",
                    zh: "最多 \(length.upperBound) 个字符。"))
        }
        let controls = value.unicodeScalars.contains {
            ($0.value < 0x20 && ![0x09, 0x0A, 0x0D].contains($0.value)) || $0.value == 0x7F
        }
        if controls {
            add(
                FieldError(
                    field, code: "control_character", "Control characters are not accepted.", zh: "不能包含控制字符。"))
        }
        return value
    }

    @discardableResult
    public mutating func range<Value: Comparable>(
        _ field: String, _ value: Value, _ range: ClosedRange<Value>
    ) -> Value {
        require(
            range.contains(value), field, code: "range",
            "A value from \(range.lowerBound) to \(range.upperBound) is wanted.",
            zh: "取值应在 \(range.lowerBound) 到 \(range.upperBound) 之间。")
        return value
    }

    @discardableResult
    public mutating func count<Items: Collection>(
        _ field: String, _ items: Items, _ range: ClosedRange<Int>
    ) -> Items {
        require(
            range.contains(items.count), field, code: "count",
            "\(range.lowerBound) to \(range.upperBound) items are wanted.",
            zh: "应包含 \(range.lowerBound) 到 \(range.upperBound) 项。")
        return items
    }

    /// Throws one `Problem` (422) with all errors, if there are any.
    public func finish() throws(Problem) {
        if !errors.isEmpty { throw .invalid(errors) }
    }
}
