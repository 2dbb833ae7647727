package enrol

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/safefile"
)

// directoryFile has where the domain's directory was when this hub joined, beside its identity.
const directoryFile = "directory.json"

// directoryPlace is the file's content. A later version must still read this one.
type directoryPlace struct {
	Version   int      `json:"v"`
	Endpoints []string `json:"endpoints"`
}

func saveDirectory(dir string, endpoints []string) error {
	text, err := json.Marshal(directoryPlace{Version: 1, Endpoints: endpoints})
	if err != nil {
		return err
	}
	return safefile.Write(filepath.Join(dir, directoryFile), append(text, '\n'))
}

// JoinedDirectory is where the domain's directory is, as a hub that joined was told: for a configuration that does not
// say. None at a hub that began its domain.
func JoinedDirectory(stateDir string) ([]string, error) {
	const op = "read where the directory is"
	path := filepath.Join(stateDir, identity.Folder, directoryFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var place directoryPlace
	if err == nil {
		err = json.Unmarshal(text, &place)
	}
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	return place.Endpoints, nil
}
