package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/safefile"
)

// Home is the folder with what a site keeps of its place in the domain. All files in it are for their owner
// alone.
type Home string

// hubsFile has the list of hubs as it was last heard, reachFile what they showed of the way back to this site.
const (
	hubsFile  = "hubs.json"
	reachFile = "reach.json"
)

// HomeIn is the home in a state directory.
func HomeIn(stateDir string) Home { return Home(filepath.Join(stateDir, "identity")) }

func (h Home) credentialsPath() string { return filepath.Join(string(h), identity.NodeFile) }

// Credentials are those that joining brought and renewing replaced. The error's kind is fault.NotFound for a
// site that has not joined.
func (h Home) Credentials() (*identity.Credentials, error) {
	return identity.LoadCredentials(h.credentialsPath())
}

// hubsVersion is the format of the list. A later one must still read the earlier.
const hubsVersion = 1

// hubList is the file's content.
type hubList struct {
	Version int        `json:"v"`
	Hubs    []hubEntry `json:"hubs"`
}

type hubEntry struct {
	ID       federation.HubID   `json:"id"`
	GRPC     string             `json:"grpc"`
	SIP      []exchange.Address `json:"sip,omitempty"`
	Software string             `json:"software,omitempty"`
	GRPCAlso []string           `json:"grpc_also,omitempty"`
}

func (h Home) saveHubs(hubs []exchange.Hub) error {
	list := hubList{Version: hubsVersion}
	for _, hub := range hubs {
		list.Hubs = append(list.Hubs, hubEntry(hub))
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		err = os.MkdirAll(string(h), 0o700)
	}
	if err == nil {
		err = safefile.Write(filepath.Join(string(h), hubsFile), append(text, '\n'))
	}
	if err != nil {
		return &fault.Error{Op: "store list of hubs", Subject: string(h), Err: err}
	}
	return nil
}

// loadHubs gives none when there is no list.
func (h Home) loadHubs() ([]exchange.Hub, error) {
	path := filepath.Join(string(h), hubsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list hubList
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && list.Version != hubsVersion {
		err = fmt.Errorf("version %d, this build reads %d", list.Version, hubsVersion)
	}
	if err != nil {
		return nil, &fault.Error{Op: "read list of hubs", Subject: path, Err: err}
	}
	hubs := make([]exchange.Hub, 0, len(list.Hubs))
	for _, hub := range list.Hubs {
		hubs = append(hubs, exchange.Hub(hub))
	}
	return hubs, nil
}

// reachVersion is the format of that file. A later one must still read the earlier.
const reachVersion = 1

// reachList is its content.
type reachList struct {
	Version int                `json:"v"`
	Behind  []federation.HubID `json:"behind"` // hubs that a NAT hides the site from
}

func (h Home) saveReach(behind []federation.HubID) error {
	text, err := json.Marshal(reachList{Version: reachVersion, Behind: behind})
	if err == nil {
		err = safefile.Write(filepath.Join(string(h), reachFile), append(text, '\n'))
	}
	if err != nil {
		return &fault.Error{Op: "store reach", Subject: string(h), Err: err}
	}
	return nil
}

// loadReach gives none when nothing is kept.
func (h Home) loadReach() ([]federation.HubID, error) {
	path := filepath.Join(string(h), reachFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list reachList
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && list.Version != reachVersion {
		err = fmt.Errorf("version %d, this build reads %d", list.Version, reachVersion)
	}
	if err != nil {
		return nil, &fault.Error{Op: "read reach", Subject: path, Err: err}
	}
	return list.Behind, nil
}
