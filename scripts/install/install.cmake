# What `cmake --install BUILD --prefix DIR` puts where, and the Debian package. All of it finds its
# parts relative to itself, so that a prefix can be moved and need not be known when building.
set(share ${CMAKE_INSTALL_DATADIR}/shardquant)

install(TARGETS shardquant RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(SHARDQUANT_BUILDS_CUDA)
  install(TARGETS shardquant_cuda LIBRARY DESTINATION ${SHARDQUANT_INSTALLED_MODULES})
endif()

# The program describes its commands itself.
set(described ${PROJECT_BINARY_DIR}/described)
set(description_files)
function(add_description file)
  add_custom_command(OUTPUT ${described}/${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${described}
    COMMAND shardquant ${ARGN} > ${described}/${file}
    DEPENDS shardquant VERBATIM)
  set(description_files ${description_files} ${described}/${file} PARENT_SCOPE)
endfunction()
add_description(shardquant.1 --manual-page)
add_description(shardquant.bash completion bash)
add_description(_shardquant completion zsh)
add_description(shardquant.fish completion fish)
add_custom_target(descriptions ALL DEPENDS ${description_files})

install(FILES ${described}/shardquant.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${described}/shardquant.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME shardquant)
install(FILES ${described}/_shardquant DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${described}/shardquant.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

install(DIRECTORY slurm/ DESTINATION ${share}/slurm USE_SOURCE_PERMISSIONS)
install(PROGRAMS scripts/follow_events.py DESTINATION ${share})
install(DIRECTORY configs/ DESTINATION ${share}/configs)
install(FILES scripts/install/shardquant.modulefile DESTINATION ${share}/modulefiles/shardquant
  RENAME ${PROJECT_VERSION})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME shardquant)
set(CPACK_PACKAGE_CONTACT "the shardquant developers <shardquant@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Mixed-bit EXL2 quantization of large language models over MPI ranks")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# mpirun; the CUDA libraries of the module are the site's.
set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
set(CPACK_STRIP_FILES ON)
include(CPack)
