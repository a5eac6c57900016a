internal import Foundation

/// Everything that a newcomer needs to see Sluice at work: a made-up city around real names and real pipes.
struct SampleCity {
    static let seed: UInt64 = 20_260_101

    let map: SampleMap
    let responsibilities: [SampleResponsibility]
    let facilities: [SampleFacility]
    let categories: [SampleCategory]
    let crews: [SampleCrew]
    let offices: [SampleOffice]
    let recipients: [SampleRecipient]
    let accounts: [SampleAccount]

    init() throws {
        map = SampleMap(seed: Self.seed)
        responsibilities = SampleResponsibility.all(for: map.areas)
        facilities = try SampleFacility.read(SampleFiles.text("pipes.csv"), on: map)
        categories = SampleCategory.all
        crews = SampleCrew.all(on: map)
        offices = SampleOffice.all
        recipients = SampleRecipient.all(for: offices)
        accounts = SampleAccount.all(crews: crews, offices: offices)
    }
}

/// The files of Services/Control/Sample: beside the executable, or where SwiftPM built them.
enum SampleFiles {
    static func text(_ name: String) throws -> String {
        let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let beside = executable.deletingLastPathComponent()
            .appendingPathComponent("sluice_ControlCommands.resources/Sample/\(name)")
        let file =
            FileManager.default.fileExists(atPath: beside.path)
            ? beside : Bundle.module.bundleURL.appendingPathComponent("Sample/\(name)")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else {
            throw CommandFailure("\(name) of the sample city is missing beside the program")
        }
        return text
    }
}
