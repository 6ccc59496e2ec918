package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/cmd/process"
)

// keys belong to one data folder; they are random, and hold nothing anywhere else.
type keys struct {
	Relayer, Owner, Buyer, Books, Data *ecdsa.PrivateKey
}

// keyFile is written before anything that is made with the keys.
const keyFile = "world-keys.json"

// loadKeys reads the folder's keys, or draws them.
func loadKeys(dir string) (keys, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return drawKeys(path)
	}
	if err != nil {
		return keys{}, fmt.Errorf("read the world's keys: %w", err)
	}
	var stored map[string]string
	if err := json.Unmarshal(text, &stored); err != nil {
		return keys{}, fmt.Errorf("read %s: %w", path, err)
	}
	var k keys
	for name, place := range k.places() {
		key, err := crypto.ToECDSA(common.FromHex(stored[name]))
		if err != nil {
			return keys{}, fmt.Errorf("%s: key %q: %w", path, name, err)
		}
		*place = key
	}
	return k, nil
}

func drawKeys(path string) (keys, error) {
	var k keys
	stored := map[string]string{}
	for name, place := range k.places() {
		key, err := crypto.GenerateKey()
		if err != nil {
			return keys{}, fmt.Errorf("draw a key: %w", err)
		}
		*place, stored[name] = key, secret(key)
	}
	text, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return keys{}, err
	}
	if err := process.WriteFirst(path, append(text, '\n')); errors.Is(err, fs.ErrExist) {
		return loadKeys(filepath.Dir(path)) // another process drew them this moment
	} else if err != nil {
		return keys{}, err
	}
	return k, nil
}

func (k *keys) places() map[string]**ecdsa.PrivateKey {
	return map[string]**ecdsa.PrivateKey{"relayer": &k.Relayer, "owner": &k.Owner, "buyer": &k.Buyer, "books": &k.Books, "data": &k.Data}
}

func address(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func secret(key *ecdsa.PrivateKey) string { return hexutil.Encode(crypto.FromECDSA(key)) }
