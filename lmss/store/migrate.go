package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/pkg/fault"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// applicationID marks our files: "MSSL".
const applicationID = 0x4d53534c

// migrations are the steps from an empty file to this build's format, oldest first; the n-th makes version
// n. They only add: a build of one version back must be able to go on with the file, so that what nobody
// reads any more is removed one version later.
func migrations() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	steps := make([]string, 0, len(names))
	for _, name := range names {
		text, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// migrate brings the file to the newest version. Before each step a copy of the file is kept beside it.
func migrate(conn *sql.Conn, path string, steps []string) error {
	version, err := formatVersion(conn)
	if err != nil {
		return err
	}
	// One version ahead is a file that the next build has touched: additive, so still readable.
	if version > len(steps)+1 {
		return fault.New("read store format", fault.Invalid, path,
			fmt.Sprintf("it has format %d, written by a newer build; this one knows %d: run the newer build, or restore the copy %s", version, len(steps), copyName(path, len(steps))))
	}
	for ; version < len(steps); version++ {
		if version > 0 {
			if err := keepCopy(conn, copyName(path, version)); err != nil {
				return fmt.Errorf("keep a copy before migrating: %w", err)
			}
		}
		if err := migrateOne(conn, version+1, steps[version]); err != nil {
			return fmt.Errorf("migrate to format %d: %w", version+1, err)
		}
	}
	return nil
}

func formatVersion(conn *sql.Conn) (int, error) {
	ctx := context.Background()
	var version, application int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("%s cannot be read: move it aside, or put a copy in its place: %w", databaseName, err)
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return 0, err
	}
	if version > 0 && application != applicationID {
		return 0, fault.New("read store format", fault.Invalid, databaseName, "it belongs to another program: move it aside")
	}
	return version, nil
}

func migrateOne(conn *sql.Conn, version int, step string) error {
	text := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT;", step, applicationID, version)
	_, err := conn.ExecContext(context.Background(), text)
	if err != nil {
		_, rollback := conn.ExecContext(context.Background(), "ROLLBACK")
		return errors.Join(err, ignoreNoTransaction(rollback))
	}
	return nil
}

func copyName(path string, version int) string { return fmt.Sprintf("%s.v%d", path, version) }

// keepCopy writes a whole, consistent copy and makes it durable before it gets its name.
func keepCopy(conn *sql.Conn, name string) error {
	temporary := name + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makePrivate(temporary); err != nil {
		return err
	}
	if _, err := conn.ExecContext(context.Background(), "VACUUM INTO ?", temporary); err != nil {
		return err
	}
	if err := syncFile(temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		return err
	}
	return syncFile(filepath.Dir(name))
}

// syncFile makes a file or directory durable.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
