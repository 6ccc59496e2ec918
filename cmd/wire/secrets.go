package wire

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
)

const keySize = 32

// masterKeys are those of MASTER_KEY, which production demands; elsewhere a random one is kept in the data folder.
func masterKeys(c *config.Config) ([][]byte, error) {
	if !c.MasterKey.Empty() {
		return c.MasterKey.All(), nil
	}
	key, err := keptKey(c, "master.key")
	return [][]byte{key}, err
}

// custodyKeys are those of CUSTODY_KEY, for a process that settles. In development a random one is kept in the data folder.
func custodyKeys(c *config.Config, settles bool) ([][]byte, error) {
	switch {
	case !settles:
		return nil, nil
	case !c.CustodyKey.Empty():
		return c.CustodyKey.All(), nil
	case c.Env != config.Development || c.RelayerKey.Empty():
		return nil, nil
	}
	key, err := keptKey(c, "custody.key")
	return [][]byte{key}, err
}

// OperatorToken is OPERATOR_TOKEN, which opens /admin. In development a random one is kept in the data folder; in
// production nobody is let in without one.
func OperatorToken(c *config.Config) (string, error) {
	if !c.OperatorToken.Empty() || c.Env != config.Development {
		return c.OperatorToken.Reveal(), nil
	}
	key, err := keptKey(c, "operator.token")
	return hex.EncodeToString(key), err
}

// keptKey is a random key of the data folder: the first process that asks for it draws it.
func keptKey(c *config.Config, name string) ([]byte, error) {
	path := filepath.Join(c.DataDir, name)
	if key, err := readKey(path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var fresh [keySize]byte
	_, _ = rand.Read(fresh[:])
	if err := process.WriteFirst(path, []byte(hex.EncodeToString(fresh[:])+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readKey(path)
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%s does not hold a key", path)
	}
	return key, nil
}
