import Postgres
import Testing

@Suite("SQL")
struct SQLTests {
    @Test func `Values become parameters and never text`() {
        let name = "x'; DROP TABLE report; --"
        let sql: SQL = "SELECT id FROM report WHERE name = \(name) AND n > \(3)"
        #expect(sql.text == "SELECT id FROM report WHERE name = $1 AND n > $2")
        #expect(sql.parameters.count == 2)
        #expect("\(sql)" == sql.text)
    }

    @Test func `Statements join and their parameters are counted anew`() {
        let condition: SQL = "a = \(1)"
        let sql: SQL = "SELECT \(0) WHERE \(condition) AND " + condition + " ORDER BY \(unsafe: "n DESC")"
        #expect(sql.text == "SELECT $1 WHERE a = $2 AND a = $3 ORDER BY n DESC")
        let rows: SQL = "VALUES " + .joined([(1, "a"), (2, "b")].map { "(\($0.0), \($0.1))" as SQL })
        #expect(rows.text == "VALUES ($1, $2), ($3, $4)")
    }

    @Test func `Names are quoted`() {
        let sql: SQL = "LISTEN \(identifier: #"we"ird"#)"
        #expect(sql.text == #"LISTEN "we""ird""#)
    }
}
