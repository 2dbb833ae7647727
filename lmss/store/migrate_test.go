package store

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
)

var update = flag.Bool("update", false, "write a sample of the newest format to testdata")

// putSample writes one of everything.
func putSample(t *testing.T, s *Store) {
	t.Helper()
	alice := user.User{Name: "4001", DisplayName: "Alice", Realm: "example.org", HA1MD5: strings.Repeat("0a", 16), MaxBindings: 2}
	must(t, s.PutUser(alice, Audit{At: began, Who: "uid 0", What: "user add 4001", After: "4001"}))
	must(t, s.SetSetting("realm", "example.org"))
	must(t, s.SaveBindings([]registrar.Change{{Action: registrar.Put, Binding: binding("4001")}}, nil))
	must(t, s.SaveCall("c1", []byte("state"), record(1), nil))
	must(t, saved(t, func(done func(error)) error { return s.CloseCall("c2", record(2), done) }))
}

func checkSample(t *testing.T, s *Store) {
	t.Helper()
	users, err := s.LoadUsers()
	must(t, err)
	if len(users) != 1 || users[0].DisplayName != "Alice" || users[0].HA1MD5 != strings.Repeat("0a", 16) || users[0].MaxBindings != 2 {
		t.Errorf("users: %+v", users)
	}
	bindings, err := s.LoadBindings()
	must(t, err)
	expect(t, "bindings", bindings, []registrar.Binding{binding("4001")})
	calls, err := s.LoadCalls()
	must(t, err)
	expect(t, "calls", calls, []StoredCall{{"c1", []byte("state"), record(1)}})
	records, err := s.QueryCDRs(RecordFilter{})
	must(t, err)
	if len(records) != 1 || records[0].ID != record(2).ID {
		t.Errorf("records: %+v", records)
	}
	must(t, s.VerifyAudit())
}

// TestSamplesOfEveryFormat reads a store as each released format left it, and writes to it.
func TestSamplesOfEveryFormat(t *testing.T) {
	t.Parallel()
	steps, err := migrations()
	must(t, err)
	if *update {
		dir := t.TempDir()
		s := open(t, dir, Options{ReserveBytes: -1})
		stop := run(t, s)
		putSample(t, s)
		must(t, stop())
		must(t, s.Close())
		copyFile(t, filepath.Join(dir, databaseName), fmt.Sprintf("testdata/v%d.db", len(steps)))
	}
	for version := 1; version <= len(steps); version++ {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			copyFile(t, fmt.Sprintf("testdata/v%d.db", version), filepath.Join(dir, databaseName))
			s := open(t, dir, Options{})
			run(t, s)
			checkSample(t, s)
			putSample(t, s)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, text, 0o600))
}

// rawConn is a connection to the database of a store that is not open.
func rawConn(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	must(t, err)
	conn, err := db.Conn(context.Background())
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()); must(t, db.Close()) })
	return conn
}

func TestMigrationKeepsACopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), databaseName)
	copyFile(t, "testdata/v1.db", path)
	steps, err := migrations()
	must(t, err)
	conn := rawConn(t, path)
	steps = append(steps[:1:1], "ALTER TABLE users ADD COLUMN colour TEXT;", "CREATE TABLE more (x INTEGER);")
	must(t, migrate(conn, path, steps))
	_, err = conn.ExecContext(t.Context(), "UPDATE users SET colour = 'red'; INSERT INTO more VALUES (1)")
	must(t, err)

	for version, want := range map[int]string{1: "", 2: "colour"} {
		copied := rawConn(t, copyName(path, version))
		got, err := formatVersion(copied)
		must(t, err)
		columns := ""
		must(t, copied.QueryRowContext(t.Context(), "SELECT coalesce(group_concat(name), '') FROM pragma_table_info('users') WHERE name = 'colour'").Scan(&columns))
		if got != version || columns != want {
			t.Errorf("the copy before format %d has format %d and %q", version+1, got, columns)
		}
	}
}

func TestFailedMigrationLeavesNoTrace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), databaseName)
	copyFile(t, "testdata/v1.db", path)
	steps, err := migrations()
	must(t, err)
	conn := rawConn(t, path)
	if err := migrate(conn, path, append(steps[:1:1], "CREATE TABLE more (x INTEGER); nonsense;")); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("migrating with nonsense: %v", err)
	}
	version, err := formatVersion(conn)
	must(t, err)
	var tables int
	must(t, conn.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_schema WHERE name = 'more'").Scan(&tables))
	if version != 1 || tables != 0 {
		t.Errorf("format %d, %d new tables", version, tables)
	}
}

func TestFormatsOfNewerBuilds(t *testing.T) {
	t.Parallel()
	steps, err := migrations()
	must(t, err)
	for ahead, readable := range map[int]bool{1: true, 2: false} {
		dir := t.TempDir()
		path := filepath.Join(dir, databaseName)
		copyFile(t, "testdata/v1.db", path)
		_, err := rawConn(t, path).ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", len(steps)+ahead))
		must(t, err)
		s, err := Open(dir, Options{ReserveBytes: -1})
		if readable {
			must(t, err)
			must(t, s.Close())
		} else if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "newer build") {
			t.Errorf("%d formats ahead: %v", ahead, err)
		}
	}
}

func TestDatabaseOfAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := rawConn(t, filepath.Join(dir, databaseName)).ExecContext(t.Context(), "PRAGMA user_version = 1; CREATE TABLE x (y)")
	must(t, err)
	if _, err := Open(dir, Options{ReserveBytes: -1}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "another program") {
		t.Errorf("opened: %v", err)
	}
}
