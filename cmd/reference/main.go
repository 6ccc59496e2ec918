// Command reference writes the description of the API, as a page of the documents, to the file that it is given.
package main

import (
	"bytes"
	"fmt"
	"os"

	"xsynesis/handlers"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	var page bytes.Buffer
	if err := handlers.WriteReference(&page); err != nil {
		return err
	}
	return os.WriteFile(file, page.Bytes(), 0o644) //nolint:gosec // a document, to be read by anybody
}
