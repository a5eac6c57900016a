import FoundationEssentials
import Glibc
import Subprocess
import SystemPackage

/// Turns a stranger's photo into pictures that may be shown: decoded and encoded anew by libvips in a child process that
/// has no secrets in its environment, no privileges, no path to any file (it reads its input and writes its output
/// through open descriptors), little memory and little time, and gives way to everybody else.
public struct PictureWorkshop: Sendable {
    struct Pictures: Sendable {
        var full: [UInt8]
        var thumbnail: [UInt8]
    }

    enum Failure: Error, Hashable {
        /// The decoder refused it, or ran out of its memory or processor time over it.
        case notDecodable
        /// The machine has more urgent work: not done in time by the wall. Says nothing of the picture.
        case late
        /// The tools are not installed.
        case unavailable
    }

    /// Longest side in pixels.
    static let fullSide = 3_072
    static let thumbnailSide = 400

    /// By the wall, for one picture.
    public static let wallLimit: Duration = .seconds(30)

    private let turns = Turnstile(width: 2)
    private let wallLimit: Duration

    /// - Parameter wallLimit: more than nothing.
    public init(wallLimit: Duration = PictureWorkshop.wallLimit) { self.wallLimit = wallLimit }

    /// - Parameters:
    ///   - file: position does not matter; it is read from its start.
    ///   - patience: how long to wait for a turn; without end if nil.
    func makePictures(from file: UploadFile, patience: Duration? = nil) async throws -> Pictures {
        try await turns.run(within: patience) {
            lseek(file.descriptor, 0, SEEK_SET)
            let full = try await convert(
                input: .fileDescriptor(FileDescriptor(rawValue: file.descriptor), closeAfterSpawningProcess: false),
                side: Self.fullSide, quality: 85)
            // From our own picture: the stranger's bytes are decoded once.
            let thumbnail = try await convert(input: .array(full), side: Self.thumbnailSide, quality: 75)
            return Pictures(full: full, thumbnail: thumbnail)
        }
    }

    private func convert(input: some InputProtocol, side: Int, quality: Int) async throws -> [UInt8] {
        let seconds: Double = wallLimit / .seconds(1)
        var arguments = [
            "--as=1500000000", "--cpu=20", "--fsize=33554432", "--nofile=64", "--core=0", "--",
            "setpriv", "--no-new-privs",
        ]
        if geteuid() == 0 { arguments += ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] }
        arguments += [
            // Seconds by the wall, whatever it waits for. In the foreground it does not kill itself with its child, so
            // that its own word tells this limit from that of processor time. A truncated file is an error and not a
            // grey half.
            "timeout", "--foreground", "--signal=TERM", "--kill-after=2", "\(seconds)",
            "nice", "-n", "15", "vipsthumbnail", "stdin[fail_on=truncated]", "-s", "\(side)x\(side)>",
            "-o", ".jpg[Q=\(quality),strip,optimize_coding,background=255]",
        ]
        let result = try await Subprocess.run(
            .path("/usr/bin/prlimit"), arguments: Arguments(arguments),
            environment: .custom([
                "PATH": "/usr/bin:/bin", "VIPS_BLOCK_UNTRUSTED": "1", "VIPS_CONCURRENCY": "1", "LANG": "C",
            ]),
            workingDirectory: "/", input: input, output: .bytes(limit: 24 << 20), error: .discarded)
        switch result.terminationStatus {
        case .exited(0): break
        // Of timeout, 124: it went when it was told to; 137: it had to be killed.
        // A TERM of its own: told to stop together with us.
        case .exited(124), .exited(137), .signaled(SIGTERM): throw Failure.late
        // 127: the tool is missing; 126: may not be run.
        case .exited(126), .exited(127): throw Failure.unavailable
        default: throw Failure.notDecodable
        }
        guard result.standardOutput.starts(with: [0xFF, 0xD8, 0xFF]) else { throw Failure.notDecodable }
        return result.standardOutput
    }
}
