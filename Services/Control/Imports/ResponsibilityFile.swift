internal import FoundationEssentials
internal import GISSyncService

/// A CSV file that says who answers for which area, read as far as its columns.
struct ResponsibilityFile {
    let lines: [ResponsibilityImporter.Line]

    static let required = ["level", "code", "person_name", "from"]

    init(path: String) throws {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            throw CommandFailure("\(path) cannot be read")
        }
        do {
            try self.init(String(decoding: data, as: UTF8.self))
        } catch let failure as CommandFailure {
            throw CommandFailure("\(path): \(failure)")
        }
    }

    init(_ text: String) throws {
        let table = CSVTable(text)
        let missing = Self.required.filter { !table.columns.contains($0) }
        guard missing.isEmpty else { throw CommandFailure("no column \(missing.joined(separator: ", "))") }
        guard !table.rows.isEmpty else { throw CommandFailure("no rows below the header") }
        lines = table.rows.map { row in
            func field(_ name: String) -> String? { table.field(name, of: row) }
            return ResponsibilityImporter.Line(
                level: field("level"), code: field("code"), personID: field("person_id"),
                personName: field("person_name"), from: field("from"), until: field("until"),
                deputisingFor: field("deputising_for"))
        }
    }
}
