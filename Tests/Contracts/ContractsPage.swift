import Foundation

/// Shared/CONTRACTS.md, read as its tables.
struct ContractsPage {
    /// Rows of cells, by section number (`5` is "## 5. Views that others read").
    private let sections: [Int: [[String]]]
    let text: String

    init() throws {
        // The page belongs to the repository that this test was built from.
        let file = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Shared/CONTRACTS.md")
        text = try String(contentsOf: file, encoding: .utf8)
        var sections: [Int: [[String]]] = [:]
        var section = 0
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("## "), let number = line.dropFirst(3).split(separator: ".").first.flatMap({ Int($0) }) {
                section = number
            }
            guard line.hasPrefix("|"), !line.hasPrefix("|--") else { continue }
            let cells = line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
            sections[section, default: []].append(cells.map { $0.trimmingCharacters(in: .whitespaces) })
        }
        self.sections = sections
    }

    /// The rows of a section's tables without their headers.
    func rows(_ section: Int, where isRow: ([String]) -> Bool = { _ in true }) -> [[String]] {
        (sections[section] ?? []).filter { !$0.isEmpty && isRow($0) }
    }

    /// What stands between backticks.
    static func codes(_ cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .compactMap { $0.offset % 2 == 1 ? String($0.element) : nil }
    }
}
