import Testing

@testable import ControlCommands

@Suite("Storm scripts")
struct StormScriptTests {
    @Test("a script reads back as it was written")
    func roundTrip() throws {
        var maker = StormMaker(seed: 7)
        let made = maker.make(reports: 50, duration: 600)
        let read = try StormScript(title: "again", csv: made.csv)
        #expect(read.lines == made.lines)
        #expect(made.lines.count == 50)
        #expect(made.lines.allSatisfy { (0...600).contains($0.offset) })
    }

    @Test("the same seed makes the same storm")
    func seeded() {
        var one = StormMaker(seed: 3)
        var other = StormMaker(seed: 3)
        #expect(one.make(reports: 20, duration: 60).lines == other.make(reports: 20, duration: 60).lines)
    }

    @Test("every place of the made storm is in the sample city, and every category in its catalogue")
    func inside() {
        var maker = StormMaker(seed: 11)
        let codes = Set(SampleCategory.all.map(\.code))
        for line in maker.make(reports: 300, duration: 3600).lines {
            #expect((113.96...114.14).contains(line.lon) && (22.52...22.58).contains(line.lat))
            #expect(codes.contains(line.category))
        }
    }

    @Test("a wrong header or a bad number is refused with its line")
    func refused() {
        #expect(throws: CommandFailure.self) { try StormScript(title: "x", csv: "a,b\n1,2\n") }
        let error = #expect(throws: CommandFailure.self) {
            try StormScript(title: "x", csv: StormScript.header + "\n0,1,2,odour,false,\nsoon,1,2,odour,false,\n")
        }
        #expect(error?.description.contains("line 3") == true)
    }

    private let norfolk = """
        field_1,\u{FEFF}recid,location,event,eventType,xcoord,ycoord,dt,_date,_time,lon,lat
        0,468,300 BLOCK OF SHIRLEY AVENUE,Nicole (9/30/2010),Flooded street,1,1,2010-09-30 07:32:47.000,9/30/2010 ,1900-01-01 07:32:00.000,-76.290425,36.864399
        1,469,"LLEWELLYN AVENUE, SHIRLEY AVENUE",Nicole (9/30/2010),Flooded Underpass,1,1,2010-09-30 07:33:19.000,9/30/2010 ,1900-01-01,-76.288847,36.863856
        2,470,A,unnamed  (3/2/2015),Flooded underpass,1,1,2015-03-02 10:00:00.000,3/2/2015 ,1900-01-01,-76.2,36.9
        3,471,B,x,Flooded street,1,1,,3/2/2015 ,1900-01-01,-76.2,36.9
        4,472,B,x,Flooded street,1,1,2015-03-02 10:00:01.000,3/2/2015 ,1900-01-01,0,0
        """

    @Test("Norfolk's file is read with all its dirt; pauses of years become ten minutes")
    func readsNorfolk() throws {
        let table = CSVTable(norfolk)
        #expect(NorfolkStorm.isOne(table))
        let script = try NorfolkStorm.read(table)
        #expect(script.lines.map(\.offset) == [0, 32, 632])
        #expect(script.lines[1].words == "Flooded underpass, impassable: LLEWELLYN AVENUE, SHIRLEY AVENUE")
        #expect(script.lines[2].words.hasPrefix("Flooded underpass"))
        #expect(script.notes == ["Norfolk: 1 rows left out, no place", "Norfolk: 1 rows left out, no time"])
        #expect(script.lines.allSatisfy { (113.96...114.14).contains($0.lon) && (22.52...22.58).contains($0.lat) })
    }

    @Test("Boston's requests lose those at (0, 0) and are spread over the storm in their order")
    func readsBoston() throws {
        let table = CSVTable(
            """
            ,CASE_ENQUIRY_ID,OPEN_DT,TYPE,LATITUDE,LONGITUDE
            1,101,01/02/2015 01:17:37 PM,Catchbasin,42.2966,-71.0479
            2,102,01/02/2015 09:17:43 AM,Catchbasin,42.30,-71.05
            3,103,12/31/2015 12:54:00 AM,Catchbasin,42.31,-71.06
            4,104,12/31/2015 12:54:00 AM,Catchbasin,0,0
            """)
        #expect(BostonRequests.isOne(table))
        let script = try BostonRequests.read(table, over: 100)
        #expect(script.lines.map(\.offset) == [0, 50, 100])
        #expect(script.lines.allSatisfy { $0.category == "gully_blocked" })
        #expect(script.notes == ["Boston: 1 rows left out, no place"])
        // 9 in the morning comes before 1 in the afternoon.
        #expect(script.lines[0].lat > script.lines[1].lat)
    }

    @Test("twelve o'clock is noon or midnight by its letters")
    func clocks() throws {
        let noon = try #require(WallClock.american("07/04/2015 12:00:00 PM"))
        let midnight = try #require(WallClock.american("07/04/2015 12:00:00 AM"))
        #expect(noon - midnight == 43_200)
        #expect(WallClock.iso("2015-07-04 12:00:00.000") == noon)
        #expect(WallClock.iso("1970-01-01 00:00:00") == 0)
        #expect(WallClock.american("13/45/2015 12:00:00 AM") == nil)
        #expect(WallClock.iso("soon") == nil)
    }
}
