// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The smallest smart wallet that can pay by signature: its owner stands in slot 0, written by genesis.
contract OwnedWallet {
    address public owner; // slot 0

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer != address(0) && signer == owner ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}
