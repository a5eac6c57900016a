import CoreMetrics
import Foundation
import Logging
import Model
import Synchronization
import Testing

@testable import ServiceKit

/// The text that Prometheus scrapes.
@Suite struct MetricsTests {
    private let registry = MetricsRegistry()

    @Test func `counters, gauges and histograms are written in the exposition format`() {
        Counter(label: "reports.in", dimensions: [("lane", "e"), ("channel", "web \"x\"\\\n")], factory: registry)
            .increment(by: 3)
        Gauge(label: "queue_depth", factory: registry).record(2.5)
        let timer = Timer(label: "claim", factory: registry)
        timer.recordNanoseconds(3_000_000)
        timer.recordNanoseconds(70_000_000_000)
        let lines = registry.text().split(separator: "\n").map(String.init)
        #expect(lines.contains("# TYPE reports_in_total counter"))
        #expect(lines.contains(#"reports_in_total{channel="web \"x\"\\\n",lane="e"} 3"#))
        #expect(lines.contains("queue_depth 2.5"))
        #expect(lines.contains(#"claim_seconds_bucket{le="0.0025"} 0"#))
        #expect(lines.contains(#"claim_seconds_bucket{le="0.005"} 1"#))
        #expect(lines.contains(#"claim_seconds_bucket{le="60"} 1"#))
        #expect(lines.contains(#"claim_seconds_bucket{le="+Inf"} 2"#))
        #expect(lines.contains("claim_seconds_count 2"))
        #expect(lines.contains("claim_seconds_sum 70.003"))
        for line in lines where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? [-+0-9.eEInfNa]+/) != nil, "\(line)")
        }
    }

    @Test func `the same name and labels are one series, whoever asks`() {
        for order in [[("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]] {
            Counter(label: "x", dimensions: order, factory: registry).increment()
        }
        #expect(registry.text().contains(#"x_total{a="1",b="2"} 2"#))
    }

    @Test func `labels that grow without end do not take the memory with them`() {
        let registry = MetricsRegistry(seriesLimit: 10)
        for number in 0..<100 { Counter(label: "x", dimensions: [("id", "\(number)")], factory: registry).increment() }
        let lines = registry.text().split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("x_total{") }.count == 10)
        #expect(lines.contains("sluice_metrics_dropped 90"))
    }

    @Test func `one name is one kind of metric`() {
        Counter(label: "x_total", factory: registry).increment()
        Gauge(label: "x_total", factory: registry).record(7)
        #expect(registry.text().contains("x_total 1\n"))
        #expect(!registry.text().contains("x_total 7"))
    }

    @Test func `counting from many tasks at once loses nothing`() async {
        let counter = Counter(label: "x", factory: registry)
        let meter = Meter(label: "m", factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1_000 {
                        counter.increment()
                        meter.increment(by: 0.5)
                    }
                }
            }
        }
        #expect(registry.text().contains("x_total 8000\n"))
        #expect(registry.text().contains("m 4000\n"))
    }

    @Test func `what the kernel knows of the process is shown`() {
        #expect(ProcessMetrics.text().contains("process_anonymous_memory_bytes "))
    }
}

/// One JSON object a line, without secrets.
@Suite struct LogTests {
    private func lines(_ body: (inout Logger) -> Void) throws -> [[String: String]] {
        let written = Mutex<[[UInt8]]>([])
        let box = Box(written: { line in written.withLock { $0.append(line) } })
        var logger = Logger(label: "test") { label in
            JSONLogHandler(
                label: label, service: "intake", instance: "one", level: .info, now: { Harness.start },
                sink: { box.written($0) })
        }
        body(&logger)
        return try written.withLock { $0 }.map { line in
            #expect(line.last == 0x0A && line.filter { $0 == 0x0A }.count == 1)
            return try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: String])
        }
    }

    private struct Box: @unchecked Sendable {
        // The mutex that it writes to outlives it: both end with the test.
        let written: ([UInt8]) -> Void
    }

    @Test func `a record is one line that names service, instance and trace`() throws {
        let lines = try lines { logger in
            logger[metadataKey: "trace_id"] = "abc"
            logger.warning("line\nbreak \"quoted\"", metadata: ["count": "3"])
            logger.debug("below the level")
        }
        #expect(lines.count == 1)
        #expect(lines[0]["message"] == "line\nbreak \"quoted\"")
        #expect(lines[0]["level"] == "warning")
        #expect(lines[0]["service"] == "intake")
        #expect(lines[0]["instance"] == "one")
        #expect(lines[0]["trace_id"] == "abc")
        #expect(lines[0]["count"] == "3")
        #expect(lines[0]["time"] == Harness.start.description)
    }

    @Test(arguments: [
        "password", "DB_PASSWORD", "token", "refreshToken", "Authorization", "cookie", "Sluice-Device", "master_key",
    ])
    func `what is named like a secret is not written`(key: String) throws {
        let lines = try lines { $0.info("x", metadata: [key: "hunter2"]) }
        #expect(lines[0][key] == "***")
    }

    @Test func `a message of a megabyte is cut`() throws {
        let lines = try lines { $0.info("\(String(repeating: "é", count: 500_000))") }
        #expect((lines[0]["message"] ?? "").count < 2_000)
    }

    @Test func `a reader that has stopped does not stop who writes`() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let writer = LogWriter(descriptor: ends[1])
        writer.start()
        // A pipe holds 64 KiB; nobody reads, and yet every call comes back.
        for _ in 0..<5_000 { writer.write([UInt8](repeating: UInt8(ascii: "x"), count: 1_000)) }
        // The ends stay open: the writer's thread waits on them until the process ends.
    }
}

@Suite struct TraceTests {
    @Test(arguments: [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-extra",
    ])
    func `a trace context is read`(text: String) {
        #expect(Trace(parsing: text)?.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
    }

    @Test(arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
    ])
    func `what is no trace context begins a new trace`(text: String) {
        #expect(Trace(parsing: text) == nil)
        let trace = Trace(continuing: text) { [UInt8](repeating: 0, count: $0) }
        #expect(Trace(parsing: trace.traceparent) == trace)
    }

    @Test func `the span is ours, the trace is the caller's`() {
        let trace = Trace(continuing: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") {
            [UInt8](repeating: 0xAB, count: $0)
        }
        #expect(trace.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01")
    }
}

@Suite struct HealthTests {
    @Test func `ready is what all checks say together`() async {
        let health = Health()
        health.add(HealthCheck("a") { .ok })
        health.add(HealthCheck("b") { .degraded("slow") })
        #expect(await health.report().isReady)
        health.add(HealthCheck("c") { .failed("gone \"x\"") })
        let report = await health.report()
        #expect(!report.isReady)
        #expect(
            String(decoding: report.json(), as: UTF8.self)
                == #"{"status":"not_ready","checks":{"a":{"status":"ok"},"b":{"status":"degraded","reason":"slow"},"c":{"status":"failed","reason":"gone \"x\""}}}"#
        )
    }

    @Test func `a check that never answers has failed`() async {
        let health = Health()
        health.add(
            HealthCheck("deaf") {
                await withCheckedContinuation { continuation in
                    Task {
                        while true {
                            try? await Task.sleep(for: .seconds(3_600))
                            if false { continuation.resume() }
                        }
                    }
                }
                return .ok
            })
        #expect(await health.report(budget: .milliseconds(20)).isReady == false)
    }

    @Test func `a process that stops is not ready`() async {
        let health = Health()
        health.stop()
        #expect(await health.report().isReady == false)
    }
}
