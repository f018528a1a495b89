#include "entry/elf_symbols.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include <prs/error.hpp>

#include "output/file_io.hpp"

namespace prs::entry {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "name this machine's ELF number here"
#endif
constexpr unsigned char kByteOrder =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

class ElfFile {
 public:
  explicit ElfFile(const std::filesystem::path& path)
      : path_(path),
        file_(output::open_file(path, O_RDONLY)),
        size_(static_cast<std::uint64_t>(output::file_size(file_, path))) {
    const std::string magic = bytes(0, std::min<std::uint64_t>(size_, SELFMAG));
    if (magic != std::string_view(ELFMAG, SELFMAG)) fail("not a shared library (ELF)");
    header_ = at<Elf64_Ehdr>(0);
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != kByteOrder ||
        header_.e_machine != kMachine) {
      fail("a shared library for another kind of machine");
    }
    if (header_.e_type != ET_DYN)
      fail("an object or program, not a shared library; link it with -shared");
  }

  std::vector<std::string> exported_functions() const {
    std::vector<std::string> names;
    const std::optional<Elf64_Shdr> table = section(SHT_DYNSYM);
    if (!table) return names;
    const Elf64_Shdr strings = section_at(table->sh_link);
    const std::string text = bytes(strings.sh_offset, strings.sh_size);
    const std::string symbols = bytes(table->sh_offset, table->sh_size);
    for (std::size_t i = 0; i + sizeof(Elf64_Sym) <= symbols.size(); i += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, symbols.data() + i, sizeof symbol);
      const bool is_global =
          ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL || ELF64_ST_BIND(symbol.st_info) == STB_WEAK;
      if (symbol.st_shndx == SHN_UNDEF || !is_global || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) {
        continue;
      }
      const std::size_t end = text.find('\0', symbol.st_name);
      if (end == std::string::npos) fail("its symbol table is damaged");
      names.push_back(text.substr(symbol.st_name, end - symbol.st_name));
    }
    return names;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", path_.string(), what));
  }

  std::string bytes(std::uint64_t offset, std::uint64_t count) const {
    if (offset > size_ || count > size_ - offset) fail("a shared library that is cut off");
    std::string result(static_cast<std::size_t>(count), '\0');
    output::read_at(file_, path_, static_cast<std::int64_t>(offset), result.data(),
                    static_cast<std::int64_t>(count));
    return result;
  }

  template <typename T>
  T at(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes(offset, sizeof(T)).data(), sizeof(T));
    return value;
  }

  Elf64_Shdr section_at(std::uint64_t index) const {
    if (index >= header_.e_shnum || header_.e_shentsize != sizeof(Elf64_Shdr) ||
        header_.e_shoff > size_) {
      fail("its section table is damaged");
    }
    return at<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
  }

  std::optional<Elf64_Shdr> section(std::uint32_t type) const {
    for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
      const Elf64_Shdr found = section_at(i);
      if (found.sh_type == type) return found;
    }
    return std::nullopt;
  }

  std::filesystem::path path_;
  output::Descriptor file_;
  std::uint64_t size_;
  Elf64_Ehdr header_{};
};

}  // namespace

std::vector<std::string> exported_functions(const std::filesystem::path& path) {
  return ElfFile(path).exported_functions();
}

}  // namespace prs::entry
