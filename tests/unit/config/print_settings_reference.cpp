#include <fstream>
#include <iostream>

#include "pipeline/config/settings_reference.hpp"

// Writes the settings reference to the file named; see the target update_settings_reference.
int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: print_settings_reference FILE\n";
    return 64;
  }
  std::ofstream file(argv[1], std::ios::binary);
  file << shardquant::config::settings_reference() << std::flush;
  return file ? 0 : 74;
}
