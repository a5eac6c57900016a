public import Foundation

/// A real picture, drawn by the same tools that the services use.
public enum DrawnPicture {
    /// - Parameter suffix: of a file name; says the format.
    public static func make(_ suffix: String, width: Int = 640, height: Int = 480) throws -> Data {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString)\(suffix)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/vips")
        process.arguments = ["gaussnoise", path, String(width), String(height)]
        try process.run()
        process.waitUntilExit()
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }
}
